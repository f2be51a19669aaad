"""Settings: every key of the ``HTMX_LIVE`` dict, its type, its unit and its default.

``settings()`` reads Django's settings each time, so that tests override them for free.
No other module of the package reads ``django.conf.settings``.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "Settings",
    "installed_middleware",
    "is_debug",
    "project_setting",
    "session_cookie_name",
    "session_engine",
    "settings",
    "site_locale",
    "unknown_keys_message",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every ``HTMX_LIVE`` key.  Durations are seconds and sizes are bytes, unless a comment says otherwise."""

    # Pages and rendering
    PAGE_TEMPLATE: str = "htmx_live/page.html"  # shell that LiveView.as_view() renders the view into
    HTMX_SRC: str | None = None  # URL or static path of the project's own htmx 4; None: django-htmx's copy
    TURN_CONTEXT: str | None = None  # dotted path of a context manager factory; given the record, wraps every turn
    LOADING_GROUPING_CLASSES: Sequence[str] = ()  # CSS classes whose elements group triggers and loading elements

    REDIRECT_HOSTS: Sequence[str] = ()  # hosts that redirect() may go to, beside the request's own

    # State
    REDIS_URL: str = ""  # store, messages and progress in this Redis: for many processes; "": in this process's memory
    REDIS_PREFIX: str = "htmx_live:"  # every key and channel in Redis begins so; one for each site
    REDIS_CLIENT: str | None = None  # dotted path of a factory (url, **options) -> redis.Redis, for Sentinel
    REDIS_MAX_CONNECTIONS: int = 50  # for calls of one process; one more waits.  Ten others serve leases and streams
    STORE: str | None = None  # dotted path of the store of records; None: RedisStore with REDIS_URL, else MemoryStore
    STATE_TTL: int = 1800  # how long a record outlives its last event, when no page shows it
    HIDDEN_TTL: int = 86_400  # the same for a page that said it is hidden
    GRANT_MAX_AGE: int = 86_400  # how long a signed grant in a page stays valid
    LEASE_TTL: float = 10.0  # a turn's lease in Redis; renewed while it runs, free after this when its process has died
    MAX_RECORD_SIZE: int = 65_536  # one record's encoded state
    MAX_ARGUMENT_SIZE: int = 102_400  # one event's arguments
    MAX_ARGUMENT_DEPTH: int = 10  # nesting of one event's JSON arguments
    MAX_INSTANCES_PER_OWNER: int = 1000  # live views that one session or visitor may keep; the oldest goes
    MAX_RECORDS: int = 20_000  # records in the memory store, the least used goes; in Redis they expire
    MAX_PENDING_MESSAGES: int = 256  # background events that wait for one instance
    MAX_JOBS_PER_INSTANCE: int = 100  # running jobs of one instance

    # Uploads
    MAX_UPLOAD_SIZE: int = 10_485_760  # one uploaded file
    MAX_UPLOADS: int = 20  # files that one event may bring
    UPLOAD_TTL: int = 86_400  # a kept file that nobody discarded goes after this time, when its view is gone

    # Turns
    BUSY_TIMEOUT: float = 10.0  # how long a click waits for the turn before it; then 409
    MAX_WAITING_EVENTS: int = 64  # clicks that wait for the turn of one instance; one more is 429 at once
    MAX_REQUESTS: int = 256  # events and syncs that one process handles at a time; more wait 3 x BUSY_TIMEOUT, then 503
    TICKS: str = "web"  # who ticks: "web" (the processes that serve), or "command" (manage.py live_ticks)
    TURN_THREADS: int = 4  # threads that run pushes, ticks and other background turns

    # Background work
    RUNNER: str = "thread"  # "thread", "celery", "tasks" (Django 6), "immediate" (tests), or a dotted path
    CELERY_QUEUE: str = ""  # Celery's queue for jobs; "": what the project's task_routes and default queue say
    JOB_THREADS: int = 16  # jobs that run at once in one process
    MAX_QUEUED_JOBS: int = 1000  # jobs that wait for a thread; one more fails at once
    JOB_TIME_LIMIT: float = 1800.0  # a job that takes longer has failed; Celery's prefork pool kills it a minute later
    JOB_LEASE: float = 10.0  # a job whose process does not say for so long that it lives is lost
    WORKER_WAIT: float = 8.0  # a job that nobody has begun after this time waits for a worker, and the page says so
    TEXT_STREAM_INTERVAL: float = 0.05  # stream_text() sends at most one frame in this time
    MAX_STREAM_TEXT: int = 262_144  # characters kept of one text stream; past it the oldest half goes

    # Streams
    HEARTBEAT: float = 15.0  # a silent stream says so this often
    STREAM_LIFETIME: float = 600.0  # a stream ends and is reopened after about this time
    MAX_STREAMS_PER_OWNER: int = 30
    MAX_STREAMS: int = 10_000  # in one process
    POLL_INTERVAL: float = 3.0  # how often a page without a stream asks while none of its jobs runs
    REPLAY_TTL: float = 3600.0  # how long messages of a page without a stream are kept
    HIDDEN_DISCONNECT_AFTER: float = 60.0  # a hidden tab closes its stream after this time

    # Notices
    MAX_NOTICES: int = 50  # unread notices of one user; the oldest goes
    NOTICE_TTL: int = 604_800  # how long a notice waits to be seen
    SLOW_AFTER: float = 10.0  # a job with notify= that takes longer says that it is still going

    # Progress
    PROGRESS_TTL: int = 3600  # how long a session is kept beyond its last change
    PROGRESS_CACHE: str | None = None  # one of CACHES to keep sessions in; None: Redis with REDIS_URL, else memory

    # Layouts
    LAYOUTS: Mapping[str, Any] = field(default_factory=dict)  # keys of htmx_live.layouts.conf.LayoutSettings


# What was built last, and from what: a turn asks a dozen times.  A copy, for a test may change the dict itself.
_cached: tuple[dict[str, Any], Settings] = ({}, Settings())


def settings() -> Settings:
    """The project's ``HTMX_LIVE``.  A misspelt key raises ``ImproperlyConfigured`` that guesses the right one."""
    global _cached
    given: dict[str, Any] = getattr(django_settings, "HTMX_LIVE", {})
    cached_source, cached_settings = _cached
    if given != cached_source:
        try:
            cached_settings = Settings(**given)
        except TypeError:
            known_keys = [field.name for field in fields(Settings)]
            raise ImproperlyConfigured(unknown_keys_message("HTMX_LIVE", given, known_keys)) from None
        _cached = deepcopy(given), cached_settings
    return cached_settings


# What has moved since 0.1, for errors that name the new path.
_MOVED = {
    "htmx_live.layouts.detection": "htmx_live.layouts.partials",
    "htmx_live.runners.celery": "htmx_live.jobs.runners.celery",
    "htmx_live.runners.immediate": "htmx_live.jobs.runners.immediate",
    "htmx_live.runners.tasks": "htmx_live.jobs.runners.django_tasks",
    "htmx_live.runners.thread": "htmx_live.jobs.runners.thread",
    "htmx_live.stores.memory": "htmx_live.backends.memory.store",
    "htmx_live.stores.redis": "htmx_live.backends.redis.store",
    "htmx_live.tasks_db": "htmx_live.contrib.task_history",
}


def moved_path(path: str) -> str:
    """Return the present dotted path of something that has moved, or ""."""
    for old, new in _MOVED.items():
        if path == old or path.startswith(f"{old}."):
            return new + path.removeprefix(old)
    return ""


def installed_middleware() -> Sequence[str]:
    """Django's ``MIDDLEWARE``."""
    return tuple(django_settings.MIDDLEWARE)


def site_locale() -> dict[str, Any]:
    """The site's own language and time zone, for what is shown to everybody."""
    return {"language": django_settings.LANGUAGE_CODE, "time_zone": django_settings.TIME_ZONE}


def is_debug() -> bool:
    """Django's ``DEBUG``."""
    return bool(django_settings.DEBUG)


def project_setting(name: str, default: Any = None) -> Any:
    """A setting of Django's or of another app's, which a system check looks at."""
    return getattr(django_settings, name, default)


def session_engine() -> str:
    """Django's ``SESSION_ENGINE``."""
    return str(django_settings.SESSION_ENGINE)


def session_cookie_name() -> str:
    """Django's ``SESSION_COOKIE_NAME``."""
    return str(django_settings.SESSION_COOKIE_NAME)


# Keys of HTMX_LIVE that were renamed after 0.1.
_RENAMED_KEYS = {
    "AROUND": "TURN_CONTEXT",
    "HIDDEN_CLOSE": "HIDDEN_DISCONNECT_AFTER",
    "LOG_TTL": "REPLAY_TTL",
    "MAX_MAIL": "MAX_PENDING_MESSAGES",
    "STREAM_INTERVAL": "TEXT_STREAM_INTERVAL",
}


def unknown_keys_message(setting: str, given: Mapping[str, Any], known: Sequence[str]) -> str:
    """Name each unknown key with the nearest known one; list all of them only where a key is near to none."""
    hints = {key: _key_hint(str(key), known) for key in given if key not in known}
    named = [f"{key!r}" + (f" ({hint})" if hint else "") for key, hint in hints.items()]
    listed = "" if all(hints.values()) else f" It knows: {', '.join(known)}."
    return f"{setting} has no setting {', '.join(named)}.{listed}"


def _key_hint(key: str, known: Sequence[str]) -> str:
    if _RENAMED_KEYS.get(key) in known:
        return f"it is called {_RENAMED_KEYS[key]!r} now"
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else ""
