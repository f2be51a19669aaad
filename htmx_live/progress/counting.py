"""Tracking: an iteration that says how far it has come.

The loop looks at the time after each item and reports a few times a second, so that an item costs less than a
microsecond beyond a plain generator.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from htmx_live.exceptions import Cancelled
from htmx_live.progress.running import INTERVAL, Gauge

__all__ = ["counted", "length"]

Item = TypeVar("Item")


def counted(rows: Iterable[Item], gauge: Gauge, *, clock: Callable[[], float]) -> Iterator[Item]:
    """``rows``, each counted when the loop comes back for the next one; ``Cancelled`` when the task was cancelled."""
    done, due = 0, clock() + INTERVAL
    try:
        for row in rows:
            if gauge.is_cancelled:
                raise Cancelled
            yield row
            done += 1
            if clock() >= due:
                told, done = done, 0
                gauge.report(advance=told)
                due = clock() + INTERVAL
    finally:
        if done and not gauge.is_cancelled:
            gauge.report(advance=done)


def length(rows: Any) -> int | None:
    """How many there are: a query is counted by its database; None where nobody knows without going through them."""
    if hasattr(rows, "query") or not hasattr(rows, "__len__"):
        try:
            found = rows.count()
        except (AttributeError, TypeError):
            found = None
        return found if isinstance(found, int) else None
    return len(rows)
