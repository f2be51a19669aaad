"""An instance as it is now, for whoever missed something; nothing changes."""

from htmx_live.fragments import Fragment
from htmx_live.records import Record
from htmx_live.runtime import render as rendering
from htmx_live.runtime.surroundings import around
from htmx_live.runtime.turn import Turn

__all__ = ["present"]


def present(record: Record) -> Fragment:
    """The whole root at the record's rev, with its children in full."""
    turn = Turn(record, children="full")
    with around(record):
        return rendering.fragment(record, rendering.render(turn.view, record, turn.stand_in))
