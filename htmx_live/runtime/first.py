"""The first turn of an instance: ``mount()`` and the first render.  Nothing is stored or sent yet."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.http import HttpRequest

from htmx_live.conf import settings
from htmx_live.live import import_view
from htmx_live.records import Owner, Record
from htmx_live.runtime.current import current
from htmx_live.runtime.grant import granted
from htmx_live.runtime.leases import announce
from htmx_live.runtime.outcome import Turned, answer, rendered, send
from htmx_live.runtime.parts import parts
from htmx_live.runtime.turn import Turn

__all__ = ["First", "first_turn", "keep", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """``turned.fragment`` is None when ``mount()`` asked for a redirect, or skipped the render."""

    turn: Turn
    turned: Turned


def first_turn(record: Record, *, request: HttpRequest | None, page: str, owner: Callable[[bool], Owner]) -> First:
    """Mount and render ``record``, whose rev is that before the first.

    ``owner(create)`` says whose it is; a token is made only for a view that can be used.  Raises
    ``PermissionDenied`` and whatever the view's code raises.
    """
    turn = Turn(record, request=request, owner=owner)
    with current(turn):
        turn.mount(page)
    is_used = bool(type(turn.view).handlers or turn.jobs.starts)
    turn.record = granted(replace(turn.record, owner=owner(is_used)))
    early = answer(turn.record, None, turn.asked)
    if early.redirect:
        return First(turn=turn, turned=early)
    saved, shown = rendered(turn, is_background=False)
    fragment = next(iter(shown.values()), None)
    # What mount() asks for is sent by keep(): nobody reads it from the answer to a page load.
    return First(turn=turn, turned=answer(saved, fragment, []))


def watch(record: Record) -> None:
    """Have a view with ``tick_interval`` ticked while somebody looks at it, unless a command does."""
    interval = import_view(record.view).tick_interval
    if interval and settings().TICKS == "web":
        parts().ticker.watch(record.instance, interval / 1000)


def keep(first: First, *, once: bool = False) -> bool:
    """Store what a first turn came to, the children's first: a parent never names what is not there.

    With ``once`` False, and nothing is kept, if the instance is there already.
    """
    for born in first.turn.born:
        keep(born)
    announce(first.turned.record.instance, first.turn.jobs.starts)
    if not parts().store.create(first.turned.record, once=once):
        return False
    watch(first.turned.record)
    parts().watcher.start()
    send(first.turned.record, first.turn.asked, {}, to_user=False)
    return True
