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
from htmx_live.contrib.doctor.probe import ProbeResponse, SiteAddress, StreamProbe, fetch, negotiate_protocol
from htmx_live.core.conf import project_setting, settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.signing import Owner, PageGrant, random_id, sign_page
from htmx_live.jobs.runners.celery import TASK_NAME

__all__ = [
    "Finding",
    "Level",
    "check_clicks",
    "check_redis",
    "check_redis_info",
    "check_site",
    "check_stream",
    "check_workers",
    "failure",
    "ok",
    "warning",
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


def ok(subject: str, text: str) -> Finding:
    """It works."""
    return Finding(level="OK", subject=subject, text=text)


def warning(subject: str, text: str, advice: str) -> Finding:
    """It works, but worse than it could, or only for now."""
    return Finding(level="WARN", subject=subject, text=text, advice=advice)


def failure(subject: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(level="FAIL", subject=subject, text=text, advice=advice)


_MIN_REDIS_VERSION = (6, 2)
_PING_COUNT = 20
_SLOW_ROUND_TRIP = 0.005  # seconds for one round trip; each click makes several
_MEMORY_WARNING_SHARE = 0.8  # of maxmemory
_WORKER_TIMEOUT = 2.0  # seconds that workers have to answer
_WORKER_COMMAND = "celery -A <project> worker"


def check_redis() -> Iterator[Finding]:
    if not settings().REDIS_URL:
        yield ok("Redis", "Not used: everything lives in the memory of one web process.")
        return
    try:
        connection = redis_connection()
        connection.call("PING")
        yield _check_latency(connection)
        with closing(connection.client()) as client:
            yield from check_redis_info(dict(client.info()))
    except (StoreUnavailable, ImproperlyConfigured, ValueError) as error:
        yield failure("Redis", str(error), "Start it, and look at REDIS_URL and at what stands between.")
    except Exception as error:  # a boundary: a service that allows no INFO, with an error of its own
        yield warning("Redis", f"It does not tell about itself: {error}", "Look by hand: version, maxmemory-policy.")


def check_redis_info(redis_info: dict[str, Any]) -> Iterator[Finding]:
    """What Redis's INFO means for us."""
    version = str(redis_info.get("redis_version", "0"))
    if _parse_version(version) < _MIN_REDIS_VERSION:
        yield failure("Redis", f"It is version {version}.", "Use Redis 6.2 or newer, or Valkey.")
    if redis_info.get("cluster_enabled"):
        yield failure(
            "Redis", "It is a cluster, on which one script cannot reach all keys.", "Use one Redis, or Sentinel."
        )
    if redis_info.get("role") == "slave":
        yield failure("Redis", "It is a replica, which cannot be written to.", "Set REDIS_URL to the primary.")
    yield _check_memory(redis_info)
    yield _check_persistence(redis_info)
    yield ok(
        "Redis",
        f"Version {redis_info.get('valkey_version', version)}, {redis_info.get('connected_clients', '?')} clients.",
    )


def _check_latency(connection: RedisConnection) -> Finding:
    times = []
    for _ in range(_PING_COUNT):
        started_at = time.monotonic()
        connection.call("PING")
        times.append(time.monotonic() - started_at)
    text = f"A round trip takes {median(times) * 1000:.1f} ms."
    if median(times) > _SLOW_ROUND_TRIP:
        return warning("Redis", text, "Put it nearer to the web processes: each click makes several round trips.")
    return ok("Redis", text)


def _check_memory(redis_info: dict[str, Any]) -> Finding:
    limit, used = int(redis_info.get("maxmemory", 0)), int(redis_info.get("used_memory", 0))
    policy = str(redis_info.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        text = f"maxmemory-policy is {policy}: when it is full, open pages lose their state without a word."
        return warning("Redis", text, "Set maxmemory-policy noeviction, or give htmx_live a Redis of its own.")
    if limit and used > _MEMORY_WARNING_SHARE * limit:
        text = f"{used / limit:.0%} of its memory is used; when it is full, clicks get 503."
        return warning("Redis", text, "Raise maxmemory.")
    return ok("Redis", f"{used / 1e6:.0f} MB are used, of {f'{limit / 1e6:.0f} MB' if limit else 'no limit'}.")


def _check_persistence(redis_info: dict[str, Any]) -> Finding:
    if redis_info.get("aof_enabled"):
        return ok("Redis", "It writes what it keeps to disk (appendonly).")
    if redis_info.get("rdb_last_bgsave_status", "ok") != "ok":
        text = "Its last snapshot failed; by default it then refuses to be written to."
        return failure("Redis", text, "Look at its log: most often the disk is full.")
    text = "It keeps no log on disk: when it restarts, open pages are mounted again, and notices and progress are gone."
    return warning("Redis", text, "Set appendonly yes, unless that is fine.")


def check_workers() -> Iterator[Finding]:
    chosen = settings()
    if chosen.RUNNER == "celery":
        yield from _check_celery()
    elif chosen.RUNNER == "thread":
        yield ok("Jobs", f"They run in each web process, {chosen.JOB_THREADS} at once; a restart loses those that run.")
    elif chosen.RUNNER == "immediate":
        yield warning("Jobs", "They run before a click is answered.", "RUNNER 'immediate' is for tests: leave it out.")
    else:
        yield ok("Jobs", f"They are given to {chosen.RUNNER!r}; whether that has workers was not looked at.")


def _check_celery() -> Iterator[Finding]:
    try:
        from celery import current_app

        inspect = current_app.control.inspect(timeout=_WORKER_TIMEOUT)
        workers = _call_with_timeout(3 * _WORKER_TIMEOUT, inspect.ping) or {}
    except ImportError:
        yield failure("Jobs", "RUNNER is 'celery', which is not installed.", "pip install 'htmx-live[celery]'.")
        return
    except TimeoutError:
        yield failure("Jobs", "Celery's broker does not answer.", "Start it, and look at CELERY_BROKER_URL.")
        return
    except Exception as error:  # a boundary: brokers raise errors of their own libraries
        yield failure("Jobs", f"Celery's broker cannot be asked: {error}", "Look at CELERY_BROKER_URL.")
        return
    if not workers:
        text = f"No Celery worker answered within {_WORKER_TIMEOUT:g} s: jobs wait, and their pages say so."
        yield failure("Jobs", text, f"Start one: {_WORKER_COMMAND}.")
        return
    yield ok("Jobs", f"{len(workers)} Celery worker(s) answered: {', '.join(sorted(workers))}.")
    yield from _check_registered_tasks(current_app, inspect, set(workers))


def _check_registered_tasks(app: Any, inspect: Any, workers: set[str]) -> Iterator[Finding]:
    """Whether those workers can do our jobs, and are given them."""
    registered = _call_with_timeout(3 * _WORKER_TIMEOUT, inspect.registered) or {}
    missing_workers = [
        name for name in sorted(workers & set(registered)) if not any(TASK_NAME in task for task in registered[name])
    ]
    if missing_workers:
        text = f"{', '.join(missing_workers)} does not know the task {TASK_NAME}."
        yield failure("Jobs", text, "Call app.autodiscover_tasks() in celery.py, and restart the worker.")
    queue_name = settings().CELERY_QUEUE or app.amqp.router.route({}, TASK_NAME)["queue"].name
    consumed_queues = {
        queue["name"]
        for queues in (_call_with_timeout(3 * _WORKER_TIMEOUT, inspect.active_queues) or {}).values()
        for queue in queues
    }
    if consumed_queues and queue_name not in consumed_queues:
        text = f"No worker listens to the queue {queue_name!r}, only to {', '.join(sorted(consumed_queues))}."
        yield failure("Jobs", text, f"Start one: {_WORKER_COMMAND} -Q {queue_name}.")


def _call_with_timeout(seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns; ``TimeoutError`` when it takes longer.  It may then go on for as long as it likes."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to whoever waits
            outcome.set_exception(error)

    threading.Thread(target=run, name="live-doctor-broker", daemon=True).start()
    return outcome.result(seconds)


def _parse_version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


_BUFFERING_ADVICE = (
    "Let the proxy pass text/event-stream on at once: nginx does so by our header X-Accel-Buffering, if nothing "
    "ignores or hides it, or with `proxy_buffering off`; switch compression off for that type."
)
_IDLE_TIMEOUT_ADVICE = (
    "Raise the idle or read timeout of what stands in front above HEARTBEAT, or set HEARTBEAT below it."
)
_STATUS_ADVICE = {
    401: "Set the clocks of this machine and of the server: a grant of this minute has expired there.",
    403: "Something in front refuses it: the package itself lets a page without live views have its stream.",
    404: "Give this command and the server the same SECRET_KEY: the server does not know what was signed here.",
    429: "Raise MAX_STREAMS, or run more processes: this one has as many streams as it may.",
    503: "The process has no store, or is shutting down: see Redis, and its log.",
}


def check_stream(address: SiteAddress, *, heartbeats: int) -> Iterator[Finding]:
    """The findings, as they come; it takes about ``beats`` heartbeats."""
    page = random_id()
    grant = sign_page(PageGrant(page=page, owner=Owner()))  # of nobody, as of a visitor without a token
    headers = {"Accept": "text/event-stream", "X-Live-Page": grant, "Cache-Control": "no-cache"}
    try:
        with StreamProbe(address, reverse("htmx_live:stream"), headers) as stream:
            finding = _explain_refusal(stream.response)
            if finding is not None:
                yield finding
                return
            yield from _check_headers(stream.response)
            yield from _check_delivery(stream, page, heartbeats)
    except TimeoutError:
        yield failure(
            "Stream", f"Nothing came for {address.timeout:g} s: something holds the answer back.", _BUFFERING_ADVICE
        )
    except (OSError, HTTPException) as error:
        yield failure("Stream", f"It was cut before it began: {error or repr(error)}.", "Look at the log of the proxy.")


def _explain_refusal(response: ProbeResponse) -> Finding | None:
    """Why there is no stream; None when there is one."""
    content_type = response.headers.get("content-type", "nothing").partition(";")[0]
    if response.status == 204:
        return warning(
            "Stream",
            f"WSGI: pages poll every {settings().POLL_INTERVAL:g} s, and ticks come no faster.",
            "Serve with uvicorn or another ASGI server, with live_asgi around the application.",
        )
    if response.status != 200:
        advice = _STATUS_ADVICE.get(response.status, "Look at the log of the server and of the proxy.")
        return failure("Stream", f"It was refused with {response.status}.", advice)
    if content_type != "text/event-stream":
        advice = "Something answers in the server's place, such as a login page: let the URL of the stream pass."
        return failure("Stream", f"The answer is {content_type}.", advice)
    return None


def _check_headers(response: ProbeResponse) -> Iterator[Finding]:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        yield failure(
            "Headers", f"The stream is compressed ({encoding}), which holds messages back.", _BUFFERING_ADVICE
        )
    if "cross-origin-opener-policy" in response.headers:  # what Django's SecurityMiddleware adds
        text = "The stream seems to have passed through Django's middlewares, at the cost of a thread per page."
        yield warning("Headers", text, "In asgi.py: application = live_asgi(get_asgi_application()).")
    if "x-accel-buffering" in response.headers:
        yield ok("Headers", "Not compressed, and X-Accel-Buffering: no.")
    else:
        yield ok("Headers", "X-Accel-Buffering was taken out on the way, as nginx does when it has obeyed it.")


def _check_delivery(stream: StreamProbe, page: str, heartbeats: int) -> Iterator[Finding]:
    interval = _read_heartbeat_interval(stream)
    if interval is None:
        opened = _format_ms(stream.response.seconds)
        text = f"It opened after {opened}, but the greeting did not come: something holds it back."
        yield failure("Stream", text, _BUFFERING_ADVICE)
        return
    yield ok("Stream", f"It opened after {_format_ms(stream.response.seconds)}.")
    found = _check_heartbeats(stream, interval, heartbeats)
    yield found
    if found.level == "OK":
        yield _check_message(stream, page)


def _read_heartbeat_interval(stream: StreamProbe) -> float | None:
    """The seconds between two heartbeats that the server promises; None without a greeting."""
    timeout = stream.address.timeout
    if stream.wait_for_line(lambda line: line == "event: hello", timeout=timeout).kind != "line":
        return None
    event = stream.wait_for_line(lambda line: line.startswith("data:"), timeout=timeout)
    if stream.wait_for_line(_is_heartbeat, timeout=timeout).kind != "line":
        return None
    try:
        return float(json.loads(event.text.removeprefix("data:"))["heartbeat"])
    except (ValueError, KeyError, TypeError):
        return None


def _check_message(stream: StreamProbe, page: str) -> Finding:
    marker, sent_at = random_id(), time.monotonic()
    try:
        bus().publish([page_channel(page)], "live-doctor", marker, event="doctor")
        event = stream.wait_for_line(lambda line: marker in line, timeout=stream.address.timeout / 2)
        bus().purge([page_channel(page)])
    except StoreUnavailable as error:
        return failure("Message", f"It could not be sent: {error}", "See Redis.")
    if event.kind == "line":
        return ok("Message", f"One from this process arrived after {_format_ms(time.monotonic() - sent_at)}.")
    if settings().REDIS_URL:
        advice = "See the line on processes; if it is well, look into the server's log for its subscription to Redis."
        return failure("Message", "One from this process did not arrive.", advice)
    return warning(
        "Message",
        "One from this process did not arrive: without REDIS_URL they stay in the web process's memory.",
        "Set HTMX_LIVE['REDIS_URL'] if commands, workers or other processes shall change pages.",
    )


def _check_heartbeats(stream: StreamProbe, interval: float, count: int) -> Finding:
    longest = 0.0
    for number in range(count):
        event = stream.wait_for_line(_is_heartbeat, timeout=1.5 * interval + stream.address.timeout / 2)
        longest = max(longest, event.seconds)
        if event.kind == "end":
            return failure(
                "Heartbeat", f"The connection was cut after {event.seconds:.1f} s of silence.", _IDLE_TIMEOUT_ADVICE
            )
        if event.kind == "silence":
            text = f"Heartbeat {number + 1} did not come within {event.seconds:.0f} s; one is due every {interval:g} s."
            return failure("Heartbeat", text, _BUFFERING_ADVICE)
    return ok("Heartbeat", f"{count} came, at most {longest:.1f} s apart; {interval:g} s are promised.")


def _is_heartbeat(line: str) -> bool:
    return line.startswith(":")


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


_HEALTH_REQUESTS = 32  # answers in which all processes of a site are hoped to be seen
_CONCURRENT_REQUESTS = 8
_LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _HealthReport:
    """What ``live/health/`` tells; ``finding`` is set when that is not enough to go on."""

    epoch: str = ""
    finding: Finding | None = None


def check_site(address: SiteAddress, *, heartbeats: int) -> Iterator[Finding]:
    """Everything that can be seen through ``address``; ``beats`` heartbeats are waited for."""
    try:
        path = reverse("htmx_live:health")
    except NoReverseMatch:
        yield failure("Site", "The URLs of htmx_live are not included.", "See the check htmx_live.E012.")
        return
    health = _fetch_health(address, path)
    if isinstance(health, Finding):
        yield health
        return
    yield _check_protocol(address)
    yield health.finding or ok("Site", f"{address.url} answers, and its store is there.")
    yield _check_processes(address, path, health.epoch)
    yield check_clicks(address)
    yield from check_stream(address, heartbeats=heartbeats)


def check_clicks(address: SiteAddress) -> Finding:
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
        status = fetch(address, reverse("htmx_live:notices"), method="POST", headers=headers).status
    except (OSError, HTTPException) as error:
        return failure("Clicks", f"A POST got no answer: {error or repr(error)}.", "Look at the log of the proxy.")
    if status == 204:
        return ok("Clicks", "They pass: Django takes itself for the address that browsers use.")
    if status == 403 and project_setting("CSRF_USE_SESSIONS"):
        return ok("Clicks", "Not tried: CSRF_USE_SESSIONS keeps the token in sessions.")
    if status == 403:
        text = f"A POST with the origin {address.origin} is refused by Django's CSRF protection."
        advice = (
            "Let the proxy pass Host on with its port, and X-Forwarded-Proto, which the server must believe (uvicorn's "
            "--forwarded-allow-ips, or SECURE_PROXY_SSL_HEADER); or name the origin in CSRF_TRUSTED_ORIGINS."
        )
        return failure("Clicks", text, advice)
    return failure("Clicks", f"A POST is answered {status}.", "Look at the log of the server and of the proxy.")


def _fetch_health(address: SiteAddress, path: str) -> "_HealthReport | Finding":
    """What one process says of itself; a finding when it cannot be asked."""
    try:
        response = fetch(address, path)
    except (OSError, HTTPException) as error:
        return failure(
            "Site", f"{address.url} cannot be reached: {error or repr(error)}.", "Is the server running there?"
        )
    try:
        health = json.loads(response.body)
        epoch, store = str(health["epoch"]), str(health["store"])
    except (ValueError, KeyError, TypeError):
        return _explain_health_response(address, path, response)
    if response.status == 200:
        return _HealthReport(epoch=epoch)
    text = f"{address.url} answers, but its store is {store}: clicks get 503."
    return _HealthReport(
        epoch=epoch, finding=failure("Site", text, "Look at the line on Redis, and at the log of the web process.")
    )


def _explain_health_response(address: SiteAddress, path: str, response: ProbeResponse) -> Finding:
    where = f"{address.url.rstrip('/')}{path}"
    advice = {
        400: "Give the address that browsers use: its host must be in ALLOWED_HOSTS.",
        404: "Give the site's root, without the path of a page. The path is that of this project's URLconf.",
        502: "The proxy has no server behind it: look at its upstream.",
    }.get(response.status, "Look at the log of the server and of the proxy.")
    if 300 <= response.status < 400:
        target = response.headers.get("location", "?")
        return failure("Site", f"{where} redirects to {target}.", "Give the address that browsers end up at.")
    return failure("Site", f"{where} answers {response.status}, and not with what live/health/ tells.", advice)


def _check_protocol(address: SiteAddress) -> Finding:
    http2_advice = (
        "Speak HTTP/2 in the proxy: with HTTP/1.1 a browser has six connections to a host, and the seventh tab waits."
    )
    host = address.parts.hostname or ""
    if address.parts.scheme != "https":
        if host.startswith(_LOOPBACK):
            return ok("Protocol", "plain HTTP on this machine; look again through the address that browsers use.")
        return warning("Protocol", "Browsers speak HTTP/1.1 without TLS.", f"Use https. {http2_advice}")
    try:
        protocol = negotiate_protocol(address)
    except OSError as error:
        return warning("Protocol", f"TLS was not agreed on: {error}.", "Look at the proxy's certificate.")
    if protocol == "h2":
        return ok("Protocol", "HTTP/2: all tabs of a browser share one connection.")
    return warning("Protocol", f"TLS with {protocol}.", http2_advice)


def _check_processes(address: SiteAddress, path: str, epoch: str) -> Finding:
    """Processes that share a bus have one epoch; in memory each has its own."""
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        reports = list(pool.map(lambda _: _fetch_health(address, path), range(_HEALTH_REQUESTS)))
    epochs = {epoch, *(one.epoch for one in reports if isinstance(one, _HealthReport))} - {""}
    if len(epochs) > 1 and settings().REDIS_URL:
        text = f"{len(epochs)} groups of web processes do not hear each other."
        return failure("Processes", text, "Give all of them the same REDIS_URL and REDIS_PREFIX, and restart them.")
    if len(epochs) > 1:
        text = f"{len(epochs)} web processes answer, and each keeps live views in its own memory: clicks get lost."
        return failure("Processes", text, "Run one process, or set HTMX_LIVE['REDIS_URL'].")
    if not settings().REDIS_URL:
        return ok(
            "Processes", f"{_HEALTH_REQUESTS} answers came from one web process, which keeps live views in its memory."
        )
    return _check_same_redis(epoch)


def _check_same_redis(epoch: str) -> Finding:
    try:
        own = bus().position().partition(".")[0]
    except StoreUnavailable as error:
        return warning("Processes", f"Whether they share this command's Redis is not known: {error}", "See Redis.")
    if own == epoch:
        return ok("Processes", "All that answered share the Redis of this command.")
    text = "The web processes use another Redis, database or REDIS_PREFIX than this command."
    return failure("Processes", text, "Run it with their settings and environment, and restart them if those are new.")
