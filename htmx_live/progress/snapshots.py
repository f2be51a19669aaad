"""Snapshots: a session as plain values, for JSON."""

from typing import Any

from htmx_live.progress.values import Kept, ProgressStatus, Row, Seen, seen
from htmx_live.progress.wording import task_message

__all__ = ["snapshot"]


def snapshot(kept: Kept) -> dict[str, Any]:
    """``overall_percent``, ``session_id``, ``status`` and ``tasks``, with further keys beside these."""
    here = seen(kept)
    return {
        "overall_percent": here.percent,
        "session_id": kept.session.id,
        "status": _reported(here.status),
        "tasks": {task: _task(kept, here, task) for task in here.rows},
        "number": here.number,
    }


def _task(kept: Kept, here: Seen, task: str) -> dict[str, Any]:
    row, status, name = here.rows[task], here.statuses[task], kept.session.names[task]
    is_waiting = row.is_waiting_for_worker(kept.now)
    return {
        "message": task_message(row, status, name, is_waiting=is_waiting),
        "name": name,
        "percent": here.percents[task],
        "status": _reported(status),
        "current": row.current,
        "total": row.total,
        "unit": row.unit,
        "rate": row.rate.per_second if status.is_running else None,
        "eta": _left(row, status, kept.now),
        "elapsed": None if row.started is None else (kept.now if row.ended is None else row.ended) - row.started,
        "is_indeterminate": status.is_running and row.current is not None and row.total is None,
        "is_waiting_for_worker": is_waiting,
        "result": row.result,
    }


def _left(row: Row, status: ProgressStatus, now: float) -> float | None:
    """Seconds until the predicted end."""
    if row.rate.ends is None or status is not ProgressStatus.RUNNING:
        return None
    return max(row.rate.ends - now, 0.0)


def _reported(status: ProgressStatus) -> str:
    """``completing`` is an inner matter."""
    return str(ProgressStatus.RUNNING if status is ProgressStatus.COMPLETING else status)
