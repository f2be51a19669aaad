"""Losses: unfinished records that no process vouches for any more.

    unfinished ──▶ not seen for ``UNSEEN`` seconds ──▶ is the session kept?
                                                         │ yes: what it says is written, lost by its lease or not
                                                         └ no:  it was lost when it was last seen

They are looked into when somebody looks at them: in the inbox, in the admin, before old ones are purged.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from htmx_live.exceptions import StoreUnavailable
from htmx_live.outages import log_unavailable
from htmx_live.progress.keeping import keeping
from htmx_live.tasks_db.models import TaskRecord
from htmx_live.tasks_db.records import save

__all__ = ["UNSEEN", "settle"]

logger = logging.getLogger("htmx_live.tasks")

UNSEEN = 30.0  # seconds; a living process vouches three times in them
_MOST = 200  # that one look sees to


def settle(*, now: datetime | None = None, **of: Any) -> int:
    """See to unfinished records, those that ``of`` filters; how many were found without a sign of life."""
    at = now or datetime.now(UTC)
    unseen = TaskRecord.objects.filter(finished=None, seen__lt=at - timedelta(seconds=UNSEEN), **of)
    found = list(unseen.order_by("seen")[:_MOST])
    for number, record in enumerate(found):
        try:
            kept = keeping().load(record.session)
        except StoreUnavailable as error:
            message = "Records that were not seen for long cannot be checked"
            log_unavailable(logger, error, "looks for lost tasks", message)
            return number
        if kept is not None:
            save(kept)
        else:
            still = TaskRecord.objects.filter(pk=record.pk, seen=record.seen, finished=None)
            still.update(status=TaskRecord.Status.LOST, finished=record.seen, seen=at)
    return len(found)
