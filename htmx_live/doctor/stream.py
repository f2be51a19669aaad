"""One stream, of a page that only the doctor knows: opened, listened to, and written to from this process.

open ── no answer, another one ─────────▶ what stands in the way
  │ 200
greeted ── nothing comes ───────────────▶ it is held back
  │ hello
a message from this process ── nothing ─▶ it goes nowhere
  │
heartbeats ── missing, or cut ──────────▶ the connection does not last
"""

import json
import time
from collections.abc import Iterator
from http.client import HTTPException

from django.urls import reverse

from htmx_live.conf import settings
from htmx_live.doctor.findings import Finding, bad, doubtful, good
from htmx_live.doctor.reading import Address, Answer, OpenStream
from htmx_live.exceptions import StoreUnavailable
from htmx_live.grants import Owner, PageGrant, random_id, sign_page
from htmx_live.transport.bus import bus
from htmx_live.transport.channels import page_channel

__all__ = ["examine_stream"]

_UNBUFFERED = (
    "Let the proxy pass text/event-stream on at once: nginx does so by our header X-Accel-Buffering, if nothing "
    "ignores or hides it, or with `proxy_buffering off`; switch compression off for that type."
)
_LASTING = "Raise the idle or read timeout of what stands in front above HEARTBEAT, or set HEARTBEAT below it."
_ADVICE = {
    401: "Set the clocks of this machine and of the server: a grant of this minute has expired there.",
    403: "Something in front refuses it: the package itself lets a page without live views have its stream.",
    404: "Give this command and the server the same SECRET_KEY: the server does not know what was signed here.",
    429: "Raise MAX_STREAMS, or run more processes: this one has as many streams as it may.",
    503: "The process has no store, or is shutting down: see Redis, and its log.",
}


def examine_stream(address: Address, *, beats: int) -> Iterator[Finding]:
    """The findings, as they come; it takes about ``beats`` heartbeats."""
    page = random_id()
    grant = sign_page(PageGrant(page=page, owner=Owner()))  # of nobody, as of a visitor without a token
    headers = {"Accept": "text/event-stream", "X-Live-Page": grant, "Cache-Control": "no-cache"}
    try:
        with OpenStream(address, reverse("htmx_live:stream"), headers) as stream:
            finding = _opened(stream.answer)
            if finding is not None:
                yield finding
                return
            yield from _headers(stream.answer)
            yield from _listened(stream, page, beats)
    except TimeoutError:
        yield bad("Stream", f"Nothing came for {address.patience:g} s: something holds the answer back.", _UNBUFFERED)
    except (OSError, HTTPException) as error:
        yield bad("Stream", f"It was cut before it began: {error or repr(error)}.", "Look at the log of the proxy.")


def _opened(answer: Answer) -> Finding | None:
    """Why there is no stream; None when there is one."""
    kind = answer.headers.get("content-type", "nothing").partition(";")[0]
    if answer.status == 204:
        return doubtful(
            "Stream",
            f"WSGI: pages poll every {settings().POLL_INTERVAL:g} s, and ticks come no faster.",
            "Serve with uvicorn or another ASGI server, with live_asgi around the application.",
        )
    if answer.status != 200:
        advice = _ADVICE.get(answer.status, "Look at the log of the server and of the proxy.")
        return bad("Stream", f"It was refused with {answer.status}.", advice)
    if kind != "text/event-stream":
        advice = "Something answers in the server's place, such as a login page: let the URL of the stream pass."
        return bad("Stream", f"The answer is {kind}.", advice)
    return None


def _headers(answer: Answer) -> Iterator[Finding]:
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding != "identity":
        yield bad("Headers", f"The stream is compressed ({encoding}), which holds messages back.", _UNBUFFERED)
    if "cross-origin-opener-policy" in answer.headers:  # what Django's SecurityMiddleware adds
        text = "The stream seems to have passed through Django's middlewares, at the cost of a thread per page."
        yield doubtful("Headers", text, "In asgi.py: application = live_asgi(get_asgi_application()).")
    if "x-accel-buffering" in answer.headers:
        yield good("Headers", "Not compressed, and X-Accel-Buffering: no.")
    else:
        yield good("Headers", "X-Accel-Buffering was taken out on the way, as nginx does when it has obeyed it.")


def _listened(stream: OpenStream, page: str, beats: int) -> Iterator[Finding]:
    heartbeat = _greeting(stream)
    if heartbeat is None:
        text = f"It opened after {_ms(stream.answer.after)}, but the greeting did not come: something holds it back."
        yield bad("Stream", text, _UNBUFFERED)
        return
    yield good("Stream", f"It opened after {_ms(stream.answer.after)}.")
    found = _beats(stream, heartbeat, beats)
    yield found
    if found.level == "OK":
        yield _message(stream, page)


def _greeting(stream: OpenStream) -> float | None:
    """The seconds between two heartbeats that the server promises; None without a greeting."""
    patience = stream.address.patience
    if stream.hear(lambda line: line == "event: hello", within=patience).what != "line":
        return None
    promised = stream.hear(lambda line: line.startswith("data:"), within=patience)
    if stream.hear(_is_beat, within=patience).what != "line":
        return None
    try:
        return float(json.loads(promised.text.removeprefix("data:"))["heartbeat"])
    except (ValueError, KeyError, TypeError):
        return None


def _message(stream: OpenStream, page: str) -> Finding:
    word, began = random_id(), time.monotonic()
    try:
        bus().publish([page_channel(page)], "live-doctor", word, event="doctor")
        heard = stream.hear(lambda line: word in line, within=stream.address.patience / 2)
        bus().forget([page_channel(page)])
    except StoreUnavailable as error:
        return bad("Message", f"It could not be sent: {error}", "See Redis.")
    if heard.what == "line":
        return good("Message", f"One from this process arrived after {_ms(time.monotonic() - began)}.")
    if settings().REDIS_URL:
        advice = "See the line on processes; if it is well, look into the server's log for its subscription to Redis."
        return bad("Message", "One from this process did not arrive.", advice)
    return doubtful(
        "Message",
        "One from this process did not arrive: without REDIS_URL they stay in the web process's memory.",
        "Set HTMX_LIVE['REDIS_URL'] if commands, workers or other processes shall change pages.",
    )


def _beats(stream: OpenStream, heartbeat: float, beats: int) -> Finding:
    longest = 0.0
    for number in range(beats):
        heard = stream.hear(_is_beat, within=1.5 * heartbeat + stream.address.patience / 2)
        longest = max(longest, heard.after)
        if heard.what == "end":
            return bad("Heartbeat", f"The connection was cut after {heard.after:.1f} s of silence.", _LASTING)
        if heard.what == "silence":
            text = f"Heartbeat {number + 1} did not come within {heard.after:.0f} s; one is due every {heartbeat:g} s."
            return bad("Heartbeat", text, _UNBUFFERED)
    return good("Heartbeat", f"{beats} came, at most {longest:.1f} s apart; {heartbeat:g} s are promised.")


def _is_beat(line: str) -> bool:
    return line.startswith(":")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
