"""Push: our own code changes live views from outside, whoever looks at them.

Called from a view, a signal, a command, a task or a test, in any thread and in any process that shares the store.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import Model

from htmx_live.core.exceptions import StateError, TurnError
from htmx_live.runtime.dispatch import push_to_instances
from htmx_live.runtime.inbox_messages import BroadcastPush
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.services import services
from htmx_live.runtime.state import encode, encode_state
from htmx_live.runtime.turn import current_turn
from htmx_live.runtime.view import Live, check_method, import_view, view_path

__all__ = ["apush_to_view", "push_to_view"]


def push_to_view(
    view: str | type[Live],
    *,
    state: Mapping[str, Any] | None = None,
    handler: str | None = None,
    payload: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    user: Any = None,
) -> int | None:
    """Set attributes and call a method on every instance of ``view``; with neither, render it again.

    ``kwargs`` limits it to instances mounted with these, ``user`` (a user or a pk) to one user's.  ``handler`` is any
    method of the view, ``payload`` its keyword arguments.  Returns how many instances were addressed, or None when
    it waits for the end of the transaction or of the turn that this is called in.  ``ImportError``, ``TurnError`` and
    ``StateError`` say what is unknown, and what there is.
    """
    cls = import_view(view) if isinstance(view, str) else view
    if handler is not None:
        check_method(cls, handler)
    if payload and handler is None:
        raise TurnError("push_to_view(payload=…) needs handler=…, the method that takes it.")
    pk = None if user is None else str(user.pk if isinstance(user, Model) else user)
    push = BroadcastPush(
        view=view_path(cls),
        state=_encode_valid_state(cls, state or {}, user=pk or ""),
        handler=handler or "",
        payload={word: encode(value, f"payload[{word!r}]") for word, value in (payload or {}).items()},
        kwargs=None if kwargs is None else {word: encode(value, word) for word, value in kwargs.items()},
        user=pk,
    )
    turn = current_turn()
    if turn is not None:
        turn.emit(push)
        return None
    counts: list[int] = []
    run_after_commit(lambda: counts.append(push_to_instances(push)))
    return counts[0] if counts else None


async def apush_to_view(
    view: str | type[Live],
    *,
    state: Mapping[str, Any] | None = None,
    handler: str | None = None,
    payload: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    user: Any = None,
) -> int | None:
    """See ``push_to_view()``."""
    # In the thread of the caller's database connections, for a transaction there to be noticed.
    push = sync_to_async(push_to_view, thread_sensitive=True)
    return await push(view, state=state, handler=handler, payload=payload, kwargs=kwargs, user=user)


def _encode_valid_state(cls: type[Live], state: Mapping[str, Any], *, user: str) -> dict[str, str]:
    """``state`` encoded.  In DEBUG and in tests, each name must be an attribute of the class or of an open instance."""
    for name in state:
        if name in cls._reserved_names or name.startswith("__"):
            raise StateError(f"push_to_view(state={{{name!r}: …}}): {cls.__name__}.{name} cannot be assigned.")
    others = [name for name in state if name not in cls._class_defaults]
    is_checked = bool(others) and services().is_strict  # it reads the state of every instance
    records = list(services().store.find_by_view(view_path(cls), user=user)) if is_checked else []
    unknown = [name for name in others if records and not any(name in record.state for record in records)]
    if unknown:
        known = set(cls._class_defaults).union(*(record.state for record in records))
        close = get_close_matches(unknown[0], known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(sorted(known)) or 'none'}."
        raise StateError(f"push_to_view(state={{{unknown[0]!r}: …}}): {cls.__name__} has no such attribute. {hint}")
    return encode_state(state)
