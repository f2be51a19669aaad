"""Records: a session's facts as one row of the database, each change one statement of its own.

A row is changed only by facts that are not older than it.  Whoever sees another status is told.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction

from htmx_live.progress.values import Kept, Session
from htmx_live.tasks_db.facts import facts_of, identity_of
from htmx_live.tasks_db.models import TaskRecord
from htmx_live.tasks_db.publishing import publish

__all__ = ["save"]

logger = logging.getLogger("htmx_live.tasks")


def save(kept: Kept, facts: dict[str, Any] | None = None) -> None:
    """Write what is known of a session; raises what the database raises."""
    given = {**(facts or facts_of(kept)), "seen": datetime.now(UTC)}
    session = kept.session
    there = TaskRecord.objects.filter(session=session.id).values_list("status", "finished").first()
    if there is None:
        _insert(kept, given)
    else:
        _update(session, given)
    if there is None or there != (given["status"], given["finished"]):
        publish(session.owner)


def _update(session: Session, given: dict[str, Any]) -> bool:
    return TaskRecord.objects.filter(session=session.id, number__lte=given["number"]).update(**given) > 0


def _insert(kept: Kept, given: dict[str, Any]) -> None:
    """Another process may insert it first, and one that sees other sessions may have the key."""
    session, identity = kept.session, identity_of(kept)
    fields = {"session": session.id, "owner_id": _owner(session.owner.user), **identity, **given}
    if _was_inserted(fields) or _update(session, given):
        return
    if TaskRecord.objects.filter(session=session.id).exists():
        return  # by another process, which knows more
    logger.warning(
        "Two records of one owner with the key %r are unfinished, so that of session %s has none. Either a process "
        "died a moment ago, or processes keep progress apart: then set HTMX_LIVE['REDIS_URL'].",
        session.key,
        session.id,
    )
    TaskRecord.objects.create(**{**fields, "key": ""})


def _was_inserted(fields: dict[str, Any]) -> bool:
    try:
        with transaction.atomic(using=router.db_for_write(TaskRecord)):
            TaskRecord.objects.create(**fields)
    except IntegrityError:
        return False
    return True


def _owner(user: str) -> Any:
    """The primary key of a user who is still there, or None."""
    users = get_user_model()
    try:
        return users._base_manager.filter(pk=user).values_list("pk", flat=True).first() if user else None
    except (ValueError, ValidationError):
        return None
