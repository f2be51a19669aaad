"""``KnowsJobs``: what a live view can tell of its own background work."""

from typing import Any

__all__ = ["KnowsJobs"]


class KnowsJobs:
    """A part of ``Live``."""

    _live: Any

    def is_waiting(self, name: str = "", key: Any = None) -> bool:
        """Whether a job waits for a worker, or is done again because its worker died.

        Jobs are meant as by ``cancel_async``: ``name`` is theirs or their handler's, "" any; ``key`` narrows it.
        """
        rows = [row for row in self._live.record.jobs if row.stage in ("waiting", "retrying")]
        return any(
            (not name or name in (row.name, row.handler)) and (key is None or str(key) == row.key) for row in rows
        )
