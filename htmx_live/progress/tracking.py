"""``track(rows, "Import")``: a session with one task that is one loop."""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from htmx_live.progress.counting import length
from htmx_live.progress.session import ProgressSession

__all__ = ["Track", "track"]

Item = TypeVar("Item")

_TASK = "track"


class Track(Generic[Item]):
    """An iteration, and the ``session`` that shows how far it has come."""

    def __init__(self, rows: Iterable[Item], name: str, *, owner: Any, total: float | None, unit: str | None) -> None:
        self.session = ProgressSession.create({_TASK: name}, owner=owner)
        self._rows, self._unit = rows, unit
        self._total = length(rows) if total is None else total

    def __iter__(self) -> Iterator[Item]:
        return self.session.track(_TASK, self._rows, total=self._total, unit=self._unit)

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError("Nobody knows how many there are. Say total=… to track().")
        return int(self._total)


def track(
    rows: Iterable[Item], name: str, *, owner: Any = None, total: float | None = None, unit: str | None = None
) -> Track[Item]:
    """``for row in track(rows, "Import", owner=request)``: the loop's progress is seen by its owner.

    ``owner`` is a request or a user.  ``total`` is taken from ``len()``, or from ``.count()`` of a query.
    """
    return Track(rows, name, owner=owner, total=total, unit=unit)
