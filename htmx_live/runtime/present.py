"""An instance as it is now, for whoever missed something; nothing changes."""

from htmx_live.fragments import Fragment
from htmx_live.records import Record
from htmx_live.runtime import render as rendering
from htmx_live.runtime.revive import revive
from htmx_live.runtime.surroundings import around

__all__ = ["present"]


def present(record: Record) -> Fragment:
    """The whole root at the record's rev, with its children in full; ``InstanceGone`` when it cannot be read."""
    with around(record):
        turn = revive(record, children="full")
        return rendering.fragment(record, rendering.render(turn.view, record, turn.stand_in))
