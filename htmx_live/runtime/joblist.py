"""``JobList``: which jobs of an instance run, and what a turn has to tell the runner once it is saved."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from htmx_live.conf import settings
from htmx_live.events import CancelJobs, StartJob
from htmx_live.exceptions import TurnError
from htmx_live.grants import random_id
from htmx_live.records import JobRow, Record

__all__ = ["JobList"]

_MAX_WORD = 500  # characters of a job's name and key, which stand in every render
_LOST_KEPT = 16


class JobList:
    """``rows`` are the jobs that run, ``starts`` those to be started and ``dropped`` the refs of those to be cancelled.

    A job that is started and cancelled in one turn is never started.  ``lost`` are those that were given up: one may
    come back as long as nobody has started or cancelled its like.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.rows: list[JobRow] = list(record.jobs)
        self.lost: list[JobRow] = list(record.lost)
        self.starts: list[StartJob] = []
        self.dropped: list[str] = []

    def find(self, ref: str) -> JobRow | None:
        return next((row for row in self.rows if row.ref == ref), None)

    def find_back(self, ref: str) -> JobRow | None:
        """See ``find``; one that was lost runs again."""
        row = next((row for row in self.lost if row.ref == ref), None)
        if row is not None:
            self.lost.remove(row)
            self.rows.append(row)
        return self.find(ref)

    def lose(self, row: JobRow) -> None:
        self.rows.remove(row)
        self.lost = [*self.lost, replace(row, stage="")][-_LOST_KEPT:]

    def restart(self, row: JobRow, again: dict[str, Any]) -> None:
        """Under a new ref: whatever the process that was lost may still hand over is dropped."""
        new = replace(row, ref=random_id(), stage="retrying")
        self.rows[self.rows.index(row)] = new
        self.starts.append(StartJob(row=new, **again))

    def note(self, row: JobRow, **news: Any) -> None:
        self.rows[self.rows.index(row)] = replace(row, **news)

    def start(self, effect: StartJob) -> None:
        """Replaces the job of the same name and key."""
        row = effect.row
        self._drop(lambda other: (other.name, other.key) == (row.name, row.key))
        if len(row.name) + len(row.key) > _MAX_WORD:
            raise TurnError(
                f"The name and key of a job of {self._record.view} are {len(row.name) + len(row.key)} characters long, "
                f"and {_MAX_WORD} are allowed. Tell jobs apart by ids, not by texts."
            )
        if len(self.rows) >= settings().MAX_JOBS_PER_INSTANCE:
            raise TurnError(
                f"{self._record.view} already runs {len(self.rows)} jobs, which is HTMX_LIVE['MAX_JOBS_PER_INSTANCE']. "
                "Give start_async() a name, so that a new start replaces the old one."
            )
        self.rows.append(row)
        self.starts.append(effect)

    def cancel(self, effect: CancelJobs) -> None:
        self._drop(lambda row: effect.name in (row.name, row.handler) and effect.key in (None, row.key))

    def copy(self) -> "JobList":
        other = JobList(self._record)
        other.rows, other.starts, other.dropped = list(self.rows), list(self.starts), list(self.dropped)
        other.lost = list(self.lost)
        return other

    def _drop(self, is_meant: Callable[[JobRow], bool]) -> None:
        self.lost = [row for row in self.lost if not is_meant(row)]
        for row in [row for row in self.rows if is_meant(row)]:
            self.rows.remove(row)
            self.dropped.append(row.ref)
            self.starts = [start for start in self.starts if start.row.ref != row.ref]
