"""Findings: what the doctor says, one line each.

What stands behind a site: Redis, and those who do its jobs.

What a site looks like from outside: its processes, and one real stream of a page that nobody has open.

One stream, of a page that only the doctor knows: opened, listened to, and written to from this process.

open ── no answer, another one ─────────▶ what stands in the way
  │ 200
greeted ── nothing comes ───────────────▶ it is held back
  │ hello
a message from this process ── nothing ─▶ it goes nowhere
  │
heartbeats ── missing, or cut ──────────▶ the connection does not last
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from statistics import median
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.crypto import get_random_string

from htmx_live.backends import bus
from htmx_live.backends.redis.client import RedisConnection, redis_connection
from htmx_live.backends.wire import page_channel
from htmx_live.contrib.doctor.probe import Address, Answer, OpenStream, ask, chosen_protocol
from htmx_live.core.conf import project_setting, settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.signing import Owner, PageGrant, random_id, sign_page
from htmx_live.jobs.runners.celery import TASK

__all__ = [
    "Finding",
    "Level",
    "bad",
    "doubtful",
    "examine_clicks",
    "examine_redis",
    "examine_site",
    "examine_stream",
    "examine_workers",
    "good",
    "redis_findings",
]


Level = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``advice`` is what to do about it; "" when all is well."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.subject:<9}  {self.text}" + (f" → {self.advice}" if self.advice else "")


def good(subject: str, text: str) -> Finding:
    """It works."""
    return Finding(level="OK", subject=subject, text=text)


def doubtful(subject: str, text: str, advice: str) -> Finding:
    """It works, but worse than it could, or only for now."""
    return Finding(level="WARN", subject=subject, text=text, advice=advice)


def bad(subject: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(level="FAIL", subject=subject, text=text, advice=advice)


_OLDEST = (6, 2)
_PINGS = 20
_SLOW = 0.005  # seconds for one round trip; each click makes several
_FULL = 0.8  # of maxmemory
_ANSWER = 2.0  # seconds that workers have to answer
_START = "celery -A <project> worker"


def examine_redis() -> Iterator[Finding]:
    if not settings().REDIS_URL:
        yield good("Redis", "Not used: everything lives in the memory of one web process.")
        return
    try:
        connection = redis_connection()
        connection.call("PING")
        yield _latency(connection)
        with closing(connection.client()) as client:
            yield from redis_findings(dict(client.info()))
    except (StoreUnavailable, ImproperlyConfigured, ValueError) as error:
        yield bad("Redis", str(error), "Start it, and look at REDIS_URL and at what stands between.")
    except Exception as error:  # a boundary: a service that allows no INFO, with an error of its own
        yield doubtful("Redis", f"It does not tell about itself: {error}", "Look by hand: version, maxmemory-policy.")


def redis_findings(told: dict[str, Any]) -> Iterator[Finding]:
    """What Redis's INFO means for us."""
    version = str(told.get("redis_version", "0"))
    if _numbers(version) < _OLDEST:
        yield bad("Redis", f"It is version {version}.", "Use Redis 6.2 or newer, or Valkey.")
    if told.get("cluster_enabled"):
        yield bad("Redis", "It is a cluster, on which one script cannot reach all keys.", "Use one Redis, or Sentinel.")
    if told.get("role") == "slave":
        yield bad("Redis", "It is a replica, which cannot be written to.", "Set REDIS_URL to the primary.")
    yield _memory(told)
    yield _persistence(told)
    yield good("Redis", f"Version {told.get('valkey_version', version)}, {told.get('connected_clients', '?')} clients.")


def _latency(connection: RedisConnection) -> Finding:
    times = []
    for _ in range(_PINGS):
        began = time.monotonic()
        connection.call("PING")
        times.append(time.monotonic() - began)
    text = f"A round trip takes {median(times) * 1000:.1f} ms."
    if median(times) > _SLOW:
        return doubtful("Redis", text, "Put it nearer to the web processes: each click makes several round trips.")
    return good("Redis", text)


def _memory(told: dict[str, Any]) -> Finding:
    limit, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    policy = str(told.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        text = f"maxmemory-policy is {policy}: when it is full, open pages lose their state without a word."
        return doubtful("Redis", text, "Set maxmemory-policy noeviction, or give htmx_live a Redis of its own.")
    if limit and used > _FULL * limit:
        text = f"{used / limit:.0%} of its memory is used; when it is full, clicks get 503."
        return doubtful("Redis", text, "Raise maxmemory.")
    return good("Redis", f"{used / 1e6:.0f} MB are used, of {f'{limit / 1e6:.0f} MB' if limit else 'no limit'}.")


def _persistence(told: dict[str, Any]) -> Finding:
    if told.get("aof_enabled"):
        return good("Redis", "It writes what it keeps to disk (appendonly).")
    if told.get("rdb_last_bgsave_status", "ok") != "ok":
        text = "Its last snapshot failed; by default it then refuses to be written to."
        return bad("Redis", text, "Look at its log: most often the disk is full.")
    text = "It keeps no log on disk: when it restarts, open pages are mounted again, and notices and progress are gone."
    return doubtful("Redis", text, "Set appendonly yes, unless that is fine.")


def examine_workers() -> Iterator[Finding]:
    chosen = settings()
    if chosen.RUNNER == "celery":
        yield from _celery()
    elif chosen.RUNNER == "thread":
        yield good(
            "Jobs", f"They run in each web process, {chosen.JOB_THREADS} at once; a restart loses those that run."
        )
    elif chosen.RUNNER == "immediate":
        yield doubtful("Jobs", "They run before a click is answered.", "RUNNER 'immediate' is for tests: leave it out.")
    else:
        yield good("Jobs", f"They are given to {chosen.RUNNER!r}; whether that has workers was not looked at.")


def _celery() -> Iterator[Finding]:
    try:
        from celery import current_app

        inspect = current_app.control.inspect(timeout=_ANSWER)
        workers = _within(3 * _ANSWER, inspect.ping) or {}
    except ImportError:
        yield bad("Jobs", "RUNNER is 'celery', which is not installed.", "pip install 'htmx-live[celery]'.")
        return
    except TimeoutError:
        yield bad("Jobs", "Celery's broker does not answer.", "Start it, and look at CELERY_BROKER_URL.")
        return
    except Exception as error:  # a boundary: brokers raise errors of their own libraries
        yield bad("Jobs", f"Celery's broker cannot be asked: {error}", "Look at CELERY_BROKER_URL.")
        return
    if not workers:
        text = f"No Celery worker answered within {_ANSWER:g} s: jobs wait, and their pages say so."
        yield bad("Jobs", text, f"Start one: {_START}.")
        return
    yield good("Jobs", f"{len(workers)} Celery worker(s) answered: {', '.join(sorted(workers))}.")
    yield from _able(current_app, inspect, set(workers))


def _able(app: Any, inspect: Any, workers: set[str]) -> Iterator[Finding]:
    """Whether those workers can do our jobs, and are given them."""
    registered = _within(3 * _ANSWER, inspect.registered) or {}
    unable = [name for name in sorted(workers & set(registered)) if not any(TASK in task for task in registered[name])]
    if unable:
        text = f"{', '.join(unable)} does not know the task {TASK}."
        yield bad("Jobs", text, "Call app.autodiscover_tasks() in celery.py, and restart the worker.")
    wanted = settings().CELERY_QUEUE or app.amqp.router.route({}, TASK)["queue"].name
    listened = {
        queue["name"] for queues in (_within(3 * _ANSWER, inspect.active_queues) or {}).values() for queue in queues
    }
    if listened and wanted not in listened:
        text = f"No worker listens to the queue {wanted!r}, only to {', '.join(sorted(listened))}."
        yield bad("Jobs", text, f"Start one: {_START} -Q {wanted}.")


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns; ``TimeoutError`` when it takes longer.  It may then go on for as long as it likes."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="live-doctor-broker", daemon=True).start()
    return outcome.result(seconds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


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
