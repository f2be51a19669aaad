"""The turn whose code runs here, if any: what that code asks others for waits until the turn is saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from htmx_live.runtime.turn import Turn

__all__ = ["current", "current_turn"]

_current: ContextVar[Turn | None] = ContextVar("current_turn", default=None)


@contextmanager
def current(turn: Turn) -> Iterator[None]:
    """For a while, the code that runs here is that of ``turn``."""
    token = _current.set(turn)
    try:
        yield
    finally:
        _current.reset(token)


def current_turn() -> Turn | None:
    """None outside of turns, in jobs too."""
    return _current.get()
