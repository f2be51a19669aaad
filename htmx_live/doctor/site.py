"""What a site looks like from outside: its processes, and one real stream of a page that nobody has open."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException

from django.urls import NoReverseMatch, reverse
from django.utils.crypto import get_random_string

from htmx_live.conf import project_setting, settings
from htmx_live.doctor.findings import Finding, bad, doubtful, good
from htmx_live.doctor.reading import Address, Answer, ask, chosen_protocol
from htmx_live.doctor.stream import examine_stream
from htmx_live.exceptions import StoreUnavailable
from htmx_live.transport.bus import bus

__all__ = ["examine_clicks", "examine_site"]

_LOOKS = 32  # answers in which all processes of a site are hoped to be seen
_AT_ONCE = 8
_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Health:
    """What ``live/health/`` tells; ``finding`` is set when that is not enough to go on."""

    epoch: str = ""
    finding: Finding | None = None


def examine_site(address: Address, *, beats: int) -> Iterator[Finding]:
    """Everything that can be seen through ``address``; ``beats`` heartbeats are waited for."""
    try:
        path = reverse("htmx_live:health")
    except NoReverseMatch:
        yield bad("Site", "The URLs of htmx_live are not included.", "See the check htmx_live.E012.")
        return
    first = _health(address, path)
    if isinstance(first, Finding):
        yield first
        return
    yield _protocol(address)
    yield first.finding or good("Site", f"{address.url} answers, and its store is there.")
    yield _processes(address, path, first.epoch)
    yield examine_clicks(address)
    yield from examine_stream(address, beats=beats)


def examine_clicks(address: Address) -> Finding:
    """Whether Django lets a browser at this address post: it compares the ``Origin`` with what it takes itself for.

    What is posted is that a visitor whom nobody knows has seen no notice.
    """
    token = get_random_string(32)
    headers = {
        "Cookie": f"{project_setting('CSRF_COOKIE_NAME')}={token}",
        "X-CSRFToken": token,
        "X-Live-Page": "doctor",
        "Origin": address.origin,
        "Referer": f"{address.origin}/",
    }
    try:
        status = ask(address, reverse("htmx_live:notices"), method="POST", headers=headers).status
    except (OSError, HTTPException) as error:
        return bad("Clicks", f"A POST got no answer: {error or repr(error)}.", "Look at the log of the proxy.")
    if status == 204:
        return good("Clicks", "They pass: Django takes itself for the address that browsers use.")
    if status == 403 and project_setting("CSRF_USE_SESSIONS"):
        return good("Clicks", "Not tried: CSRF_USE_SESSIONS keeps the token in sessions.")
    if status == 403:
        text = f"A POST with the origin {address.origin} is refused by Django's CSRF protection."
        advice = (
            "Let the proxy pass Host on with its port, and X-Forwarded-Proto, which the server must believe (uvicorn's "
            "--forwarded-allow-ips, or SECURE_PROXY_SSL_HEADER); or name the origin in CSRF_TRUSTED_ORIGINS."
        )
        return bad("Clicks", text, advice)
    return bad("Clicks", f"A POST is answered {status}.", "Look at the log of the server and of the proxy.")


def _health(address: Address, path: str) -> "_Health | Finding":
    """What one process says of itself; a finding when it cannot be asked."""
    try:
        answer = ask(address, path)
    except (OSError, HTTPException) as error:
        return bad("Site", f"{address.url} cannot be reached: {error or repr(error)}.", "Is the server running there?")
    try:
        told = json.loads(answer.body)
        epoch, store = str(told["epoch"]), str(told["store"])
    except (ValueError, KeyError, TypeError):
        return _not_ours(address, path, answer)
    if answer.status == 200:
        return _Health(epoch=epoch)
    text = f"{address.url} answers, but its store is {store}: clicks get 503."
    return _Health(
        epoch=epoch, finding=bad("Site", text, "Look at the line on Redis, and at the log of the web process.")
    )


def _not_ours(address: Address, path: str, answer: Answer) -> Finding:
    where = f"{address.url.rstrip('/')}{path}"
    advice = {
        400: "Give the address that browsers use: its host must be in ALLOWED_HOSTS.",
        404: "Give the site's root, without the path of a page. The path is that of this project's URLconf.",
        502: "The proxy has no server behind it: look at its upstream.",
    }.get(answer.status, "Look at the log of the server and of the proxy.")
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "?")
        return bad("Site", f"{where} redirects to {target}.", "Give the address that browsers end up at.")
    return bad("Site", f"{where} answers {answer.status}, and not with what live/health/ tells.", advice)


def _protocol(address: Address) -> Finding:
    more = (
        "Speak HTTP/2 in the proxy: with HTTP/1.1 a browser has six connections to a host, and the seventh tab waits."
    )
    host = address.parts.hostname or ""
    if address.parts.scheme != "https":
        if host.startswith(_LOOPBACK):
            return good("Protocol", "plain HTTP on this machine; look again through the address that browsers use.")
        return doubtful("Protocol", "Browsers speak HTTP/1.1 without TLS.", f"Use https. {more}")
    try:
        protocol = chosen_protocol(address)
    except OSError as error:
        return doubtful("Protocol", f"TLS was not agreed on: {error}.", "Look at the proxy's certificate.")
    if protocol == "h2":
        return good("Protocol", "HTTP/2: all tabs of a browser share one connection.")
    return doubtful("Protocol", f"TLS with {protocol}.", more)


def _processes(address: Address, path: str, epoch: str) -> Finding:
    """Processes that share a bus have one epoch; in memory each has its own."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = list(pool.map(lambda _: _health(address, path), range(_LOOKS)))
    epochs = {epoch, *(one.epoch for one in told if isinstance(one, _Health))} - {""}
    if len(epochs) > 1 and settings().REDIS_URL:
        text = f"{len(epochs)} groups of web processes do not hear each other."
        return bad("Processes", text, "Give all of them the same REDIS_URL and REDIS_PREFIX, and restart them.")
    if len(epochs) > 1:
        text = f"{len(epochs)} web processes answer, and each keeps live views in its own memory: clicks get lost."
        return bad("Processes", text, "Run one process, or set HTMX_LIVE['REDIS_URL'].")
    if not settings().REDIS_URL:
        return good("Processes", f"{_LOOKS} answers came from one web process, which keeps live views in its memory.")
    return _same_redis(epoch)


def _same_redis(epoch: str) -> Finding:
    try:
        own = bus().position().partition(".")[0]
    except StoreUnavailable as error:
        return doubtful("Processes", f"Whether they share this command's Redis is not known: {error}", "See Redis.")
    if own == epoch:
        return good("Processes", "All that answered share the Redis of this command.")
    text = "The web processes use another Redis, database or REDIS_PREFIX than this command."
    return bad("Processes", text, "Run it with their settings and environment, and restart them if those are new.")
