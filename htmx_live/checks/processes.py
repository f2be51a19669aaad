"""What several processes must share, and what each of them needs."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

import django
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from htmx_live.checks.reading import given_settings
from htmx_live.conf import Settings, is_debug, project_setting
from htmx_live.stores.memory import MemoryStore

__all__ = ["check_progress", "check_runner_in_production", "check_runners", "check_stores"]

_ELSEWHERE = ("celery", "tasks")  # runners whose jobs run in other processes
_SET_REDIS = "Set HTMX_LIVE['REDIS_URL'], and install htmx-live[redis]."


@given_settings
def check_stores(chosen: Settings) -> Iterator[CheckMessage]:
    is_private = _keeps_in_memory(chosen)
    if is_private and chosen.RUNNER in _ELSEWHERE:
        text = (
            f"RUNNER is {chosen.RUNNER!r}, but live views are kept in the memory of the web process: workers find none."
        )
        yield Error(text, hint=_SET_REDIS, id="htmx_live.E005")
    elif not chosen.REDIS_URL and chosen.RUNNER in _ELSEWHERE:
        text = f"RUNNER is {chosen.RUNNER!r}, but messages stay in each process: what workers do reaches no page."
        yield Error(text, hint=_SET_REDIS, id="htmx_live.E005")
    if is_private and chosen.TICKS == "command":
        text = "TICKS is 'command', but that command cannot reach live views in the memory of the web process."
        yield Error(text, hint=f"Leave TICKS at 'web'. Or: {_SET_REDIS}", id="htmx_live.E041")
    if is_private and chosen.REDIS_URL:
        text = "STORE keeps live views in the memory of each process, though REDIS_URL says that there are several."
        yield Warning(text, hint="Leave STORE out: with REDIS_URL records live in Redis.", id="htmx_live.W042")
    yield from _redis(chosen)


def _redis(chosen: Settings) -> Iterator[CheckMessage]:
    uses = chosen.STORE and chosen.STORE.endswith(".RedisStore")
    if not chosen.REDIS_URL:
        if uses:
            yield Error("STORE is RedisStore, but there is no REDIS_URL.", hint=_SET_REDIS, id="htmx_live.E043")
    elif find_spec("redis") is None:
        hint = "Run: pip install 'htmx-live[redis]'."
        yield Error("REDIS_URL is set, but redis-py is not installed.", hint=hint, id="htmx_live.E043")
    elif not chosen.REDIS_CLIENT and (reason := _unreadable(chosen.REDIS_URL)):
        hint = "Write it as redis://127.0.0.1:6379/0, rediss://user:password@host:6379/0 or unix:///path?db=0."
        yield Error(f"REDIS_URL cannot be read: {reason}", hint=hint, id="htmx_live.E043")


@given_settings
def check_runners(chosen: Settings) -> Iterable[CheckMessage]:
    if chosen.RUNNER == "celery" and find_spec("celery") is None:
        hint = "Run: pip install 'htmx-live[celery]'."
        yield Error("RUNNER is 'celery', which is not installed.", hint=hint, id="htmx_live.E044")
    if chosen.RUNNER == "tasks":
        yield from _tasks()


def _tasks() -> Iterator[CheckMessage]:
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
    return _in_production()


@given_settings
def _in_production(chosen: Settings) -> Iterator[CheckMessage]:
    if chosen.RUNNER == "immediate" and not is_debug():
        text = "RUNNER is 'immediate', which is for tests: a click is answered when its background work is done."
        yield Warning(text, hint="Leave RUNNER out, or use 'celery'.", id="htmx_live.W046")


@given_settings
def check_progress(chosen: Settings) -> Iterator[CheckMessage]:
    alias, caches = chosen.PROGRESS_CACHE, project_setting("CACHES", {})
    if alias is None:
        return
    if alias not in caches:
        hint = f"CACHES has: {', '.join(sorted(caches))}. Or leave PROGRESS_CACHE out."
        yield Error(f"PROGRESS_CACHE is {alias!r}, which is none of CACHES.", hint=hint, id="htmx_live.E047")
        return
    backend = str(caches[alias].get("BACKEND", ""))
    is_shared = bool(chosen.REDIS_URL) or chosen.RUNNER in _ELSEWHERE
    if backend.endswith(".DummyCache") or (is_shared and backend.endswith(".LocMemCache")):
        hint = "Name a cache that all processes share, or leave PROGRESS_CACHE out: with REDIS_URL it is Redis."
        text = f"PROGRESS_CACHE is {alias!r}, a {backend.rpartition('.')[2]}: nobody else could follow the work."
        yield Error(text, hint=hint, id="htmx_live.E047")


def _keeps_in_memory(chosen: Settings) -> bool:
    if not chosen.STORE:
        return not chosen.REDIS_URL
    try:
        store = import_string(chosen.STORE)
    except ImportError:  # check_settings says it
        return False
    return isinstance(store, type) and issubclass(store, MemoryStore)


def _unreadable(url: str) -> str:
    """Why redis-py cannot read the URL, "" when it can; a password in it is not repeated."""
    from redis.connection import parse_url

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        return str(error)
    return ""
