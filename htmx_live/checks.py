"""System checks: what cannot work is said before the first request, each with an id and a hint.

`manage.py check --tag htmx_live` runs these alone.  docs/reference.md lists the ids.

What would let the wrong people in.

Settings beside each other: those that defeat one another.

What several processes must share, and what each of them needs.

What a project adds to its settings, URLconf and ASGI module.

Reading settings for checks: what cannot be read is the finding of one check, and of no other.

Each setting by itself: unknown keys, dotted paths that lead nowhere, words and numbers that cannot be.

Celery's settings, as far as jobs depend on them.

How the project's databases bear many threads at once.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.contrib.auth.mixins import AccessMixin
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.checks import register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse
from django.utils.module_loading import import_string

from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.conf import (
    Settings,
    installed_middleware,
    is_debug,
    moved_path,
    project_setting,
    session_engine,
    settings,
)
from htmx_live.http import eventstream
from htmx_live.runtime.view import Live

__all__ = [
    "Check",
    "can_import",
    "check_apps",
    "check_asgi",
    "check_celery",
    "check_channel_manager",
    "check_connections",
    "check_cors",
    "check_csrf",
    "check_eventstream",
    "check_limits",
    "check_middleware",
    "check_progress",
    "check_runner_in_production",
    "check_runners",
    "check_sessions",
    "check_settings",
    "check_sqlite",
    "check_stores",
    "check_urls",
    "check_views",
    "find_invalid_values",
    "register_checks",
    "settings_check",
    "uses_live_asgi",
]


_RUNNERS = ("thread", "immediate", "celery", "tasks")
_DOTTED_PATH_KEYS = ("STORE", "TURN_CONTEXT", "REDIS_CLIENT")
# Of these nothing is an amount, too: no pause, no wait, none of that kind.
_MAY_BE_ZERO = {
    "BUSY_TIMEOUT",
    "HIDDEN_DISCONNECT_AFTER",
    "MAX_QUEUED_JOBS",
    "MAX_UPLOADS",
    "MAX_UPLOAD_SIZE",
    "SLOW_AFTER",
    "TEXT_STREAM_INTERVAL",
    "WORKER_WAIT",
}


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        chosen = settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct the key in HTMX_LIVE.", id="htmx_live.E001")]
    return [*find_invalid_values(chosen)] or [*_find_unusable_values(chosen)]


def find_invalid_values(chosen: Settings) -> Iterator[Error]:
    """An error for each value of another kind than its setting's."""
    for field in fields(Settings):
        value = getattr(chosen, field.name)
        if expected := _expected_value(field.name, field.default, value):
            yield Error(f"HTMX_LIVE[{field.name!r}] is {value!r}.", hint=f"Give it {expected}.", id="htmx_live.E009")


def can_import(path: str) -> bool:
    """Whether a dotted path leads somewhere."""
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _expected_value(name: str, default: Any, value: Any) -> str:
    """What the value should be; "" when it can be used."""
    if isinstance(default, int | float):
        return _expected_number(name, value)
    if isinstance(default, str) or default is None:
        return "" if isinstance(value, str) or value is default else "a text"
    if isinstance(default, tuple):
        is_list = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        return "" if is_list else "a list or tuple of texts"
    return "" if isinstance(value, Mapping) else "a dict"


def _expected_number(name: str, value: Any) -> str:
    is_count = name.startswith("MAX_") or name.endswith("_THREADS")
    if isinstance(value, bool) or not isinstance(value, int if is_count else int | float) or not math.isfinite(value):
        return "a whole number" if is_count else "a number of seconds"
    if name in _MAY_BE_ZERO:
        return "" if value >= 0 else "0 or more"
    return "" if value > 0 else "a number above 0"


def _find_unusable_values(chosen: Settings) -> Iterator[Error]:
    for key in _DOTTED_PATH_KEYS:
        path = getattr(chosen, key)
        if path and not can_import(path):
            hint = _moved_hint(path) or f"Give HTMX_LIVE[{key!r}] the dotted path of something that can be imported."
            yield Error(f"HTMX_LIVE[{key!r}] is {path!r}, which cannot be imported.", hint=hint, id="htmx_live.E002")
    if chosen.RUNNER not in _RUNNERS and not can_import(chosen.RUNNER):
        hint = _moved_hint(chosen.RUNNER) or "Use 'thread', 'celery', 'tasks', or the dotted path of a runner."
        yield Error(f"HTMX_LIVE['RUNNER'] is {chosen.RUNNER!r}.", hint=hint, id="htmx_live.E003")
    if chosen.TICKS not in ("web", "command"):
        hint = "Use 'web', or 'command' and run manage.py live_ticks."
        yield Error(f"HTMX_LIVE['TICKS'] is {chosen.TICKS!r}.", hint=hint, id="htmx_live.E004")


def _moved_hint(path: str) -> str:
    new = moved_path(path)
    return f"It has moved. Use {new!r}." if new else ""


Check = Callable[..., list[CheckMessage]]


def settings_check(check: Callable[[Settings], Iterable[CheckMessage]]) -> Check:
    """A system check out of one that is given the settings.  It finds nothing where they cannot be compared."""

    def wrapper(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
        try:
            chosen = settings()
        except ImproperlyConfigured:
            return []
        return [] if any(find_invalid_values(chosen)) else [*check(chosen)]

    # Not functools.wraps: Django looks at the signature, which would be that of ``check``.
    wrapper.__name__, wrapper.__module__, wrapper.__doc__ = check.__name__, check.__module__, check.__doc__
    return wrapper


_STOCK_MANAGER = "django_eventstream.channelmanager.DefaultChannelManager"


def check_views(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{cls.__module__}.{cls.__qualname__} uses {AccessMixin.__name__}'s family, which live views never ask.",
            hint="Use login_required = True, permission_required = (…) or has_permission() of LiveView instead.",
            id="htmx_live.E020",
        )
        for cls in _subclasses(Live)
        if issubclass(cls, AccessMixin)
    ]


def check_cors(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """django-cors-headers answers ``*`` with the asker's own origin where credentials are allowed: all may read all."""
    allows_all_origins = project_setting("CORS_ALLOW_ALL_ORIGINS") or project_setting("CORS_ORIGIN_ALLOW_ALL")
    if not (allows_all_origins and project_setting("CORS_ALLOW_CREDENTIALS")):
        return []
    text = "CORS_ALLOW_ALL_ORIGINS with CORS_ALLOW_CREDENTIALS: any site may read pages as their user."
    hint = "Name the origins in CORS_ALLOWED_ORIGINS, or switch CORS_ALLOW_CREDENTIALS off."
    return [Error(text, hint=hint, id="htmx_live.E021")]


def check_channel_manager(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Find event URLs of the project's own on which a visitor may write any channel.

    They are warnings: the project had them before it added htmx_live, and no channel of a live page is among them.
    """
    path = project_setting("EVENTSTREAM_CHANNELMANAGER_CLASS") or _STOCK_MANAGER
    if not isinstance(path, str) or not can_import(path):
        hint = "Give it the dotted path of a channel manager, or leave it out."
        text = f"EVENTSTREAM_CHANNELMANAGER_CLASS is {path!r}, which cannot be imported."
        return [Error(text, hint=hint, id="htmx_live.E023")]
    manager, stock = import_string(path), import_string(_STOCK_MANAGER)
    deciding = ("can_read_channel", "get_channels_for_request")
    if any(getattr(manager, name, None) is not getattr(stock, name) for name in deciding):
        return []
    return [
        Warning(
            f"Anybody can read any channel of send_event() through the event URL {route!r}.",
            hint="Write a channel manager with can_read_channel() and name it in EVENTSTREAM_CHANNELMANAGER_CLASS, or "
            'fix the URL\'s channels: path("events/", include("django_eventstream.urls"), {"channels": ["news"]}).',
            id="htmx_live.W022",
        )
        for route in _open_event_urls()
    ]


def _open_event_urls() -> list[str]:
    """The routes of django-eventstream's view whose channels come from the visitor's URL."""
    events = import_string("django_eventstream.views.events")
    return [
        route
        for route, callback, fixed in _routes(get_resolver())
        if callback is events and ("format-channels" in fixed or not fixed.keys() & {"channels", "channel"})
    ]


def _routes(resolver: URLResolver) -> Iterator[tuple[str, object, dict[str, Any]]]:
    """Each view below a resolver: its route, the view, and the arguments that the URLconf fixes."""
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            for route, callback, fixed in _routes(each):
                yield f"{each.pattern}{route}", callback, {**each.default_kwargs, **fixed}
        else:
            yield str(each.pattern), each.callback, each.default_args


def check_csrf(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    if any(path.endswith(".CsrfViewMiddleware") for path in installed_middleware()):
        return []
    hint = "Add 'django.middleware.csrf.CsrfViewMiddleware' to MIDDLEWARE."
    return [Error("Without CsrfViewMiddleware any site may post a user's events.", hint=hint, id="htmx_live.E024")]


@settings_check
def check_sessions(chosen: Settings) -> Iterable[CheckMessage]:
    if not any(path.endswith(".SessionMiddleware") for path in installed_middleware()):
        text = "Without SessionMiddleware a live view belongs to whoever has its grant."
        hint = "Add 'django.contrib.sessions.middleware.SessionMiddleware' to MIDDLEWARE."
        yield Warning(text, hint=hint, id="htmx_live.W025")
    elif session_engine().endswith(".signed_cookies"):
        text = "Sessions live in cookies (signed_cookies): one that was copied works on after its user has logged out."
        hint = "Use another SESSION_ENGINE, such as 'django.contrib.sessions.backends.cached_db'."
        yield Warning(text, hint=hint, id="htmx_live.W026")
    elif chosen.REDIS_URL and session_engine().endswith(".cache") and _is_process_local(_session_cache()):
        text = "Sessions live in the memory of one process, while HTMX_LIVE['REDIS_URL'] says that there are several."
        hint = "Point SESSION_CACHE_ALIAS at a cache that all processes share, or use another SESSION_ENGINE."
        yield Error(text, hint=hint, id="htmx_live.E027")


def _session_cache() -> str:
    alias = project_setting("SESSION_CACHE_ALIAS", "default")
    caches = project_setting("CACHES", {})
    return str(caches.get(alias, {}).get("BACKEND", ""))


def _is_process_local(backend: str) -> bool:
    """Whether a cache is another one in each process, or keeps nothing."""
    return backend.endswith((".LocMemCache", ".DummyCache"))


def _subclasses(cls: type) -> Iterator[type]:
    sub: type
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conflict:
    """``text`` and ``hint`` may name settings in braces, which become their values."""

    applies: Callable[[Settings], bool]
    text: str
    hint: str


_FATAL_CONFLICTS = (
    _Conflict(
        applies=lambda one: one.REPLAY_TTL <= 2 * one.HEARTBEAT,
        text="Messages are kept for REPLAY_TTL ({REPLAY_TTL} s), and pages read them after HEARTBEAT ({HEARTBEAT} s).",
        hint="Make REPLAY_TTL several times HEARTBEAT: pages would lose what they have not read yet.",
    ),
    _Conflict(
        applies=lambda one: one.STREAM_LIFETIME <= one.HEARTBEAT,
        text="A stream ends after STREAM_LIFETIME ({STREAM_LIFETIME} s), before its first HEARTBEAT ({HEARTBEAT} s).",
        hint="Make STREAM_LIFETIME many times HEARTBEAT, or leave it out.",
    ),
    _Conflict(
        applies=lambda one: one.GRANT_MAX_AGE <= one.STREAM_LIFETIME,
        text="A page is good for GRANT_MAX_AGE ({GRANT_MAX_AGE} s), and its stream lasts STREAM_LIFETIME "
        "({STREAM_LIFETIME} s): the second one would be refused.",
        hint="Make GRANT_MAX_AGE as long as a page may stay open; a day is the default.",
    ),
)
_DOUBTFUL_CONFLICTS = (
    _Conflict(
        applies=lambda one: max(one.HIDDEN_TTL, one.STATE_TTL) > one.GRANT_MAX_AGE,
        text="What a page shows is kept for up to {HIDDEN_TTL} s (HIDDEN_TTL, STATE_TTL), but its grant is good for "
        "GRANT_MAX_AGE ({GRANT_MAX_AGE} s) only.",
        hint="Lower HIDDEN_TTL and STATE_TTL to GRANT_MAX_AGE, or raise that.",
    ),
    _Conflict(
        applies=lambda one: one.HEARTBEAT >= 60,
        text="HEARTBEAT is {HEARTBEAT} s: many proxies cut a connection that is silent for 60 s.",
        hint="Keep HEARTBEAT below the time after which the proxy in front cuts; 15 s is the default.",
    ),
    _Conflict(
        applies=lambda one: one.MAX_STREAMS_PER_OWNER >= one.MAX_STREAMS,
        text="One visitor may have MAX_STREAMS_PER_OWNER ({MAX_STREAMS_PER_OWNER}) streams, which are all MAX_STREAMS.",
        hint="Lower MAX_STREAMS_PER_OWNER.",
    ),
    _Conflict(
        applies=lambda one: not one.REDIS_PREFIX,
        text="REDIS_PREFIX is empty: keys in Redis would have names like 'epoch'.",
        hint="Give each site that uses this Redis a prefix of its own.",
    ),
    _Conflict(
        applies=lambda one: bool(one.REDIS_CLIENT and not one.REDIS_URL),
        text="REDIS_CLIENT is set, but not REDIS_URL: it is never used.",
        hint="Set REDIS_URL too; the factory is given it.",
    ),
)


@settings_check
def check_limits(chosen: Settings) -> Iterator[CheckMessage]:
    values = asdict(chosen)
    for conflict in _FATAL_CONFLICTS:
        if conflict.applies(chosen):
            yield Error(conflict.text.format(**values), hint=conflict.hint, id="htmx_live.E006")
    for conflict in _DOUBTFUL_CONFLICTS:
        if conflict.applies(chosen):
            yield Warning(conflict.text.format(**values), hint=conflict.hint, id="htmx_live.W007")
    for ours, theirs in (
        ("MAX_ARGUMENT_SIZE", "DATA_UPLOAD_MAX_MEMORY_SIZE"),
        ("MAX_UPLOADS", "DATA_UPLOAD_MAX_NUMBER_FILES"),
    ):
        limit = project_setting(theirs)
        if limit is not None and values[ours] > limit:
            text = f"HTMX_LIVE[{ours!r}] is {values[ours]}, but Django refuses more than {limit} ({theirs})."
            yield Warning(text, hint=f"Raise {theirs}, or lower {ours}.", id="htmx_live.W008")


_OUT_OF_PROCESS_RUNNERS = ("celery", "tasks")  # runners whose jobs run in other processes
_SET_REDIS = "Set HTMX_LIVE['REDIS_URL'], and install htmx-live[redis]."


@settings_check
def check_stores(chosen: Settings) -> Iterator[CheckMessage]:
    is_private = _uses_memory_store(chosen)
    if is_private and chosen.RUNNER in _OUT_OF_PROCESS_RUNNERS:
        text = (
            f"RUNNER is {chosen.RUNNER!r}, but live views are kept in the memory of the web process: workers find none."
        )
        yield Error(text, hint=_SET_REDIS, id="htmx_live.E005")
    elif not chosen.REDIS_URL and chosen.RUNNER in _OUT_OF_PROCESS_RUNNERS:
        text = f"RUNNER is {chosen.RUNNER!r}, but messages stay in each process: what workers do reaches no page."
        yield Error(text, hint=_SET_REDIS, id="htmx_live.E005")
    if is_private and chosen.TICKS == "command":
        text = "TICKS is 'command', but that command cannot reach live views in the memory of the web process."
        yield Error(text, hint=f"Leave TICKS at 'web'. Or: {_SET_REDIS}", id="htmx_live.E041")
    if is_private and chosen.REDIS_URL:
        text = "STORE keeps live views in the memory of each process, though REDIS_URL says that there are several."
        yield Warning(text, hint="Leave STORE out: with REDIS_URL records live in Redis.", id="htmx_live.W042")
    yield from _check_redis(chosen)


def _check_redis(chosen: Settings) -> Iterator[CheckMessage]:
    is_redis_store = chosen.STORE and chosen.STORE.endswith(".RedisStore")
    if not chosen.REDIS_URL:
        if is_redis_store:
            yield Error("STORE is RedisStore, but there is no REDIS_URL.", hint=_SET_REDIS, id="htmx_live.E043")
    elif find_spec("redis") is None:
        hint = "Run: pip install 'htmx-live[redis]'."
        yield Error("REDIS_URL is set, but redis-py is not installed.", hint=hint, id="htmx_live.E043")
    elif not chosen.REDIS_CLIENT and (reason := _url_error(chosen.REDIS_URL)):
        hint = "Write it as redis://127.0.0.1:6379/0, rediss://user:password@host:6379/0 or unix:///path?db=0."
        yield Error(f"REDIS_URL cannot be read: {reason}", hint=hint, id="htmx_live.E043")


@settings_check
def check_runners(chosen: Settings) -> Iterable[CheckMessage]:
    if chosen.RUNNER == "celery" and find_spec("celery") is None:
        hint = "Run: pip install 'htmx-live[celery]'."
        yield Error("RUNNER is 'celery', which is not installed.", hint=hint, id="htmx_live.E044")
    if chosen.RUNNER == "tasks":
        yield from _check_tasks_runner()


def _check_tasks_runner() -> Iterator[CheckMessage]:
    if django.VERSION < (6, 0):
        text = f"RUNNER is 'tasks', but Django {django.get_version()} has no django.tasks."
        yield Error(text, hint="Use Django 6, or RUNNER = 'celery' or 'thread'.", id="htmx_live.E044")
        return
    backend = str(project_setting("TASKS", {}).get("default", {}).get("BACKEND", ""))
    if backend.endswith((".ImmediateBackend", ".DummyBackend")):
        does = "does the work before a click is answered" if backend.endswith(".ImmediateBackend") else "never does it"
        hint = "Use a backend with workers, or RUNNER = 'thread'."
        yield Warning(f"RUNNER is 'tasks', and {backend} {does}.", hint=hint, id="htmx_live.W045")


def check_runner_in_production(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """For `manage.py check --deploy`."""
    return _check_immediate_runner()


@settings_check
def _check_immediate_runner(chosen: Settings) -> Iterator[CheckMessage]:
    if chosen.RUNNER == "immediate" and not is_debug():
        text = "RUNNER is 'immediate', which is for tests: a click is answered when its background work is done."
        yield Warning(text, hint="Leave RUNNER out, or use 'celery'.", id="htmx_live.W046")


@settings_check
def check_progress(chosen: Settings) -> Iterator[CheckMessage]:
    alias, caches = chosen.PROGRESS_CACHE, project_setting("CACHES", {})
    if alias is None:
        return
    if alias not in caches:
        hint = f"CACHES has: {', '.join(sorted(caches))}. Or leave PROGRESS_CACHE out."
        yield Error(f"PROGRESS_CACHE is {alias!r}, which is none of CACHES.", hint=hint, id="htmx_live.E047")
        return
    backend = str(caches[alias].get("BACKEND", ""))
    is_shared = bool(chosen.REDIS_URL) or chosen.RUNNER in _OUT_OF_PROCESS_RUNNERS
    if backend.endswith(".DummyCache") or (is_shared and backend.endswith(".LocMemCache")):
        hint = "Name a cache that all processes share, or leave PROGRESS_CACHE out: with REDIS_URL it is Redis."
        text = f"PROGRESS_CACHE is {alias!r}, a {backend.rpartition('.')[2]}: nobody else could follow the work."
        yield Error(text, hint=hint, id="htmx_live.E047")


def _uses_memory_store(chosen: Settings) -> bool:
    if not chosen.STORE:
        return not chosen.REDIS_URL
    try:
        store = import_string(chosen.STORE)
    except ImportError:  # check_settings says it
        return False
    return isinstance(store, type) and issubclass(store, MemoryStore)


def _url_error(url: str) -> str:
    """Why redis-py cannot read the URL, "" when it can; a password in it is not repeated."""
    from redis.connection import parse_url

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        return str(error)
    return ""


_MIDDLEWARE = "htmx_live.middleware.LiveMiddleware"


@settings_check
def check_apps(chosen: Settings) -> Iterable[CheckMessage]:
    needed = {"django_components": "the components", "django_htmx": "htmx itself"}
    if chosen.HTMX_SRC:
        del needed["django_htmx"]
    for name, what in needed.items():
        if not apps.is_installed(name):
            hint = f"Add {name!r} to INSTALLED_APPS, before 'htmx_live'."
            yield Error(f"{name} is missing, which brings {what}.", hint=hint, id="htmx_live.E013")


def check_middleware(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    installed = list(installed_middleware())
    if _MIDDLEWARE not in installed:
        hint = f"Add {_MIDDLEWARE!r} to MIDDLEWARE, after the session and authentication middlewares."
        return [Error("LiveMiddleware is missing: pages would carry no grants.", hint=hint, id="htmx_live.E010")]
    late = [
        name
        for name in ("SessionMiddleware", "AuthenticationMiddleware", "HtmxMiddleware")
        for path in installed[installed.index(_MIDDLEWARE) :]
        if path.endswith(f".{name}")
    ]
    if late:
        hint = f"Move {_MIDDLEWARE!r} below {', '.join(late)} in MIDDLEWARE."
        return [Error("LiveMiddleware stands before what it builds on.", hint=hint, id="htmx_live.E011")]
    return []


def check_urls(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        reverse("htmx_live:sync")
    except NoReverseMatch:
        hint = "Add path('live/', include('htmx_live.urls')) to your URLconf."
        return [Error("The URLs of htmx_live are not included.", hint=hint, id="htmx_live.E012")]
    return []


def check_asgi(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    module = _asgi_module()
    if not _asgi_source() or uses_live_asgi():
        return []
    text = (
        f"{module} does not use live_asgi. Every open page then costs a thread of the server, the streams pass "
        "through all middlewares, and a deployment waits for them."
    )
    hint = f"In {module}: from htmx_live.asgi import live_asgi; application = live_asgi(get_asgi_application())."
    return [Warning(text, hint=hint, id="htmx_live.W014")]


def uses_live_asgi() -> bool:
    """Whether the project's ASGI module names ``live_asgi``."""
    return "live_asgi" in _asgi_source()


def _asgi_source() -> str:
    """The text of the project's ASGI module, "" without one: importing it would set Django up a second time."""
    module = _asgi_module()
    return _module_source(module) if module else ""


def check_eventstream(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if project_setting("EVENTSTREAM_REDIS"):
        text = "EVENTSTREAM_REDIS is set. That listener ends for good when Redis is away for some seconds."
        hint = "Replace it with HTMX_LIVE['REDIS_URL'] in every process: send_event() then travels on our bus."
        found.append(Warning(text, hint=hint, id="htmx_live.W031"))
    reason = eventstream.install() if apps.is_installed("django_eventstream") else ""
    if reason:
        hint = "Install the version that htmx_live asks for. Streams work; send_event() keeps the package's limits."
        found.append(Warning(f"django-eventstream is left as it is: {reason}", hint=hint, id="htmx_live.W030"))
    return found


def _asgi_module() -> str:
    """The module that ASGI_APPLICATION names, else the one beside the root URLconf, where startproject puts it."""
    named, urls = project_setting("ASGI_APPLICATION"), project_setting("ROOT_URLCONF")
    if isinstance(named, str) and named:
        return named.rpartition(".")[0]
    package = urls.rpartition(".")[0] if isinstance(urls, str) else ""
    return f"{package}.asgi" if package else ""


def _module_source(module: str) -> str:
    """The text of a module, "" when there is none to read."""
    try:
        spec = find_spec(module)
        return Path(spec.origin).read_text(errors="replace") if spec and spec.origin else ""
    except (ImportError, ValueError, OSError):
        return ""


_VISIBILITY_TIMEOUTS = {
    "redis": 3600,
    "rediss": 3600,
    "sentinel": 3600,
    "sqs": 1800,
}  # visibility timeouts, kombu's defaults
_JSON_TYPES = {"json", "application/json"}


@settings_check
def check_celery(chosen: Settings) -> Iterator[CheckMessage]:
    if chosen.RUNNER != "celery" or find_spec("celery") is None:
        return
    from celery import current_app

    conf = current_app.conf
    broker = str(conf.broker_write_url or conf.broker_url or "")
    if not broker:
        hint = (
            "Write project/celery.py as Celery's guide for Django says, put `from .celery import app` into the "
            "project's __init__.py, and set CELERY_BROKER_URL."
        )
        yield Error("RUNNER is 'celery', but no Celery app with a broker is loaded.", hint=hint, id="htmx_live.E050")
        return
    yield from _check_broker(conf, broker, chosen)
    if conf.task_always_eager:
        text = "CELERY_TASK_ALWAYS_EAGER has no effect on jobs: they are sent to the broker, and wait for a worker."
        hint = "Use HTMX_LIVE['RUNNER'] = 'immediate' in tests and 'thread' without a worker."
        yield Warning(text, hint=hint, id="htmx_live.W053")
    if not _JSON_TYPES & set(conf.accept_content):
        text = f"CELERY_ACCEPT_CONTENT is {list(conf.accept_content)!r}: workers refuse jobs, which are JSON."
        yield Error(text, hint="Add 'json' to CELERY_ACCEPT_CONTENT.", id="htmx_live.E054")


def _check_broker(conf: Any, broker: str, chosen: Settings) -> Iterator[CheckMessage]:
    scheme = broker.partition(":")[0]
    if scheme == "memory" and not is_debug():
        text = "Celery's broker is memory://: a job reaches no other process, and is lost with this one."
        yield Error(text, hint="Set CELERY_BROKER_URL to Redis or RabbitMQ.", id="htmx_live.E051")
    if scheme not in _VISIBILITY_TIMEOUTS:
        return
    timeout = (conf.broker_transport_options or {}).get("visibility_timeout", _VISIBILITY_TIMEOUTS[scheme])
    if timeout < 2 * chosen.JOB_TIME_LIMIT:
        text = (
            f"The broker gives a message to another worker after {timeout} s (visibility_timeout), less than twice "
            f"JOB_TIME_LIMIT ({chosen.JOB_TIME_LIMIT:g} s): what waits behind a long job is handed round."
        )
        hint = (
            "Set CELERY_BROKER_TRANSPORT_OPTIONS = {'visibility_timeout': "
            f"{2 * chosen.JOB_TIME_LIMIT:.0f}}} or more, or lower JOB_TIME_LIMIT."
        )
        yield Warning(text, hint=hint, id="htmx_live.W052")


_SQLITE_ENGINES = (".sqlite3", ".spatialite")


@settings_check
def check_sqlite(chosen: Settings) -> Iterable[CheckMessage]:
    """Find SQLite databases on which jobs and requests that write at the same time fail each other.

    Not under ``DEBUG``: what ``startproject`` writes is right for one developer, and would warn at every start.
    """
    if is_debug() or chosen.RUNNER == "immediate":
        return
    for alias, database in _databases():
        options = database.get("OPTIONS") or {}
        is_immediate = str(options.get("transaction_mode")).upper() in ("IMMEDIATE", "EXCLUSIVE")
        has_wal = "wal" in str(options.get("init_command")).lower()
        if _is_sqlite(database) and not (is_immediate and has_wal):
            yield Warning(
                f"DATABASES[{alias!r}] is SQLite with its default locking. Jobs and requests that write at the same "
                'time fail with "database is locked".',
                hint='Add to it: "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, '
                '"init_command": "PRAGMA journal_mode=WAL"}. Or use another database.',
                id="htmx_live.W048",
            )


def check_connections(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Find persistent connections under ASGI, where each thread of a request keeps one that no other thread uses."""
    return [
        Warning(
            f"DATABASES[{alias!r}] has CONN_MAX_AGE={database['CONN_MAX_AGE']!r} under ASGI. Connections then stay "
            "open in threads that do not use them again, until the database refuses more.",
            hint='Leave CONN_MAX_AGE at 0. For fewer connects use a pool: PgBouncer, or "OPTIONS": {"pool": True} with '
            "psycopg 3.",
            id="htmx_live.W015",
        )
        for alias, database in _databases()
        if uses_live_asgi() and database.get("CONN_MAX_AGE", 0) != 0 and not _is_sqlite(database)
    ]


def _databases() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from project_setting("DATABASES", {}).items()


def _is_sqlite(database: dict[str, Any]) -> bool:
    return str(database.get("ENGINE", "")).endswith(_SQLITE_ENGINES)


_CHECKS = (
    check_apps,
    check_asgi,
    check_celery,
    check_channel_manager,
    check_connections,
    check_cors,
    check_csrf,
    check_eventstream,
    check_limits,
    check_middleware,
    check_progress,
    check_runners,
    check_sessions,
    check_settings,
    check_sqlite,
    check_stores,
    check_urls,
    check_views,
)


def register_checks() -> None:
    """Called when the apps are ready."""
    for check in _CHECKS:
        register_check(check, Tags.compatibility, "htmx_live")
    register_check(check_runner_in_production, Tags.compatibility, "htmx_live", deploy=True)
