"""Each setting by itself: unknown keys, dotted paths that lead nowhere, words and numbers that cannot be."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from htmx_live.conf import Settings, settings

__all__ = ["check_settings", "imports", "mistaken"]

_RUNNERS = ("thread", "immediate", "celery", "tasks")
_PATHS = ("STORE", "AROUND", "REDIS_CLIENT")
# Of these nothing is an amount, too: no pause, no wait, none of that kind.
_MAY_BE_ZERO = {
    "BUSY_TIMEOUT",
    "HIDDEN_CLOSE",
    "MAX_QUEUED_JOBS",
    "MAX_UPLOADS",
    "MAX_UPLOAD_SIZE",
    "SLOW_AFTER",
    "STREAM_INTERVAL",
    "WORKER_WAIT",
}


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        chosen = settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct the key in HTMX_LIVE.", id="htmx_live.E001")]
    return [*mistaken(chosen)] or [*_unknown_words(chosen)]


def mistaken(chosen: Settings) -> Iterator[Error]:
    """An error for each value of another kind than its setting's."""
    for field in fields(Settings):
        value = getattr(chosen, field.name)
        if expected := _expected(field.name, field.default, value):
            yield Error(f"HTMX_LIVE[{field.name!r}] is {value!r}.", hint=f"Give it {expected}.", id="htmx_live.E009")


def imports(path: str) -> bool:
    """Whether a dotted path leads somewhere."""
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _expected(name: str, default: Any, value: Any) -> str:
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


def _unknown_words(chosen: Settings) -> Iterator[Error]:
    for key in _PATHS:
        path = getattr(chosen, key)
        if path and not imports(path):
            hint = f"Give HTMX_LIVE[{key!r}] the dotted path of something that can be imported."
            yield Error(f"HTMX_LIVE[{key!r}] is {path!r}, which cannot be imported.", hint=hint, id="htmx_live.E002")
    if chosen.RUNNER not in _RUNNERS and not imports(chosen.RUNNER):
        hint = "Use 'thread', 'celery', 'tasks', or the dotted path of a runner."
        yield Error(f"HTMX_LIVE['RUNNER'] is {chosen.RUNNER!r}.", hint=hint, id="htmx_live.E003")
    if chosen.TICKS not in ("web", "command"):
        hint = "Use 'web', or 'command' and run manage.py live_ticks."
        yield Error(f"HTMX_LIVE['TICKS'] is {chosen.TICKS!r}.", hint=hint, id="htmx_live.E004")
