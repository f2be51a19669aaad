"""Callbacks: how background work is named, so that another process can find it.

A callback is a method of the view or a function at module level, and its arguments are values that a record can keep.
A callback that works on a thread of this process therefore works in a worker.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from asgiref.sync import iscoroutinefunction

from htmx_live.events import StartJob
from htmx_live.exceptions import TurnError
from htmx_live.grants import random_id
from htmx_live.records import JobRow
from htmx_live.state import encode

__all__ = ["find_callback", "job_start"]


def job_start(
    view: object,
    callback: Callable[..., Any],
    *,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any],
    name: str | None = None,
    key: Any = None,
    retries: int = 0,
    starter: str = "",
    page: str = "",
    notify: bool | str = False,
) -> StartJob:
    """The effect that starts ``callback``; see ``Live.start_async``.

    ``starter`` is the handler that asks for it, "" outside of handlers; ``page`` the page whose event it is.  With
    ``notify`` its end is told in a notice, under this name or the callback's.
    """
    path, label = _path(view, callback)
    ref = random_id()
    row = JobRow(
        ref=ref,
        handler=starter or label,
        name=name or f"{label}-{ref[:8]}",
        key="" if key is None else str(key),
        page=page,
        notify=label.strip("_").replace("_", " ").capitalize() if notify is True else str(notify or ""),
    )
    return StartJob(
        row=row,
        callback=path,
        args=[encode(value, f"argument {number} of {label}()") for number, value in enumerate(args, 1)],
        kwargs={word: encode(value, f"argument {word} of {label}()") for word, value in kwargs.items()},
        is_async=iscoroutinefunction(callback),
        retries=retries,
    )


def _path(view: object, callback: Callable[..., Any]) -> tuple[str, str]:
    """``method:name`` or ``module:qualified.name`` of a callback, and its plain name."""
    name, owner = getattr(callback, "__name__", ""), getattr(callback, "__self__", None)
    if owner is view and getattr(type(view), name, None) is not None:
        return f"method:{name}", name
    path = f"{getattr(callback, '__module__', '')}:{getattr(callback, '__qualname__', '')}"
    is_bound = owner is not None and not isinstance(owner, ModuleType)  # a function written in C has its module
    if "<" in path or not name or is_bound:
        raise TurnError(
            f"start_async() got {callback!r}. A background callback is a method of the view or a function at module "
            "level: a lambda or a local function cannot be found by another process. Move it, and pass what it needs "
            "as arguments."
        )
    return path, name


def find_callback(view: object, path: str) -> Callable[..., Any]:
    """The callback that a job of our own names."""
    where, _, name = path.partition(":")
    if where == "method":
        found: Any = getattr(view, name)
    else:
        found = import_module(where)
        for part in name.split("."):
            found = getattr(found, part)
    assert callable(found)
    return found  # type: ignore[no-any-return]
