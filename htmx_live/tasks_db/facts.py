"""Facts: what a record says of a session, as a pure function of what progress keeps of it."""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from htmx_live.progress.values import Kept, ProgressStatus, Row, Seen, listed_under, seen
from htmx_live.tasks_db.models import LONGEST, TaskRecord

__all__ = ["clipped", "facts_of", "identity_of", "moment"]

_BUSY = {ProgressStatus.QUEUED, ProgressStatus.RETRYING}


def facts_of(kept: Kept) -> dict[str, Any]:
    """The fields that change."""
    here = seen(kept, is_settled=True)
    told = here.rows[_telling(here)]
    is_over = here.is_ended and not any(one in _BUSY or one.is_running for one in here.statuses.values())
    began = [one.started for one in here.rows.values() if one.started is not None]
    last = max((one.ended or one.since for one in here.rows.values()), default=kept.now)
    return {
        "status": _status(here) if is_over or not here.is_ended else TaskRecord.Status.RUNNING,
        "percent": here.percent,
        "message": clipped(told.message),
        "result_url": _result(here),
        "error_id": next((one.error for one in here.rows.values() if one.error), "")[:64],
        "started": moment(min(began)) if began else None,
        "finished": moment(last) if is_over else None,
        "number": kept.number,
    }


def identity_of(kept: Kept) -> dict[str, Any]:
    """The fields that never change, but for the owner."""
    session = kept.session
    return {
        "owner_word": listed_under(session.owner)[:100],
        "key": _short(session.key),
        "name": clipped(", ".join(session.names.values())),
        "created": moment(session.created),
    }


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def clipped(text: str) -> str:
    """As long as a field takes; without NUL, which PostgreSQL refuses, and without halves of characters."""
    clean = text.replace("\0", "").encode(errors="replace").decode()
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + "…"


def _short(key: str) -> str:
    """Two long keys stay two."""
    return key if len(key) <= 200 else key[:160] + blake2b(key.encode(), digest_size=16).hexdigest()


def _status(here: Seen) -> str:
    """One for all tasks; of failures it is told whether a process was lost."""
    statuses = set(here.statuses.values())
    if here.status is ProgressStatus.ERROR:
        return TaskRecord.Status.LOST if ProgressStatus.ERROR not in statuses else TaskRecord.Status.ERROR
    return TaskRecord.Status.QUEUED if here.status is ProgressStatus.PENDING else str(here.status)


def _telling(here: Seen) -> str:
    """The task whose message tells most: one that failed, else the one that changed last."""
    failed = [task for task, status in here.statuses.items() if status.is_failed]
    return failed[0] if failed else max(here.rows, key=lambda task: (here.rows[task].since, task))


def _result(here: Seen) -> str:
    """The last result; one that does not fit is left out, for half an address leads nowhere."""
    found: list[Row] = [row for row in here.rows.values() if row.result and len(row.result) <= 2000]
    return max(found, key=lambda row: row.since).result if found else ""
