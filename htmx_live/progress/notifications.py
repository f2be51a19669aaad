"""Telling: notices to the owner of a session about the end of a task that was started with ``notify=``.

    start ──SLOW_AFTER──▶ "still going…" ──end──▶ "done", or why not, in its place

A task that was cancelled tells nothing.  One that has ended while it was said that it goes on says so once more.
"""

import json
import logging
from dataclasses import asdict
from typing import Any

from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from htmx_live.backends.notice_store import Unread
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.jobs.watchdog import on_overdue
from htmx_live.progress.cards import task_message
from htmx_live.progress.model import ProgressStatus, Row, Session
from htmx_live.progress.store import endings, keeping
from htmx_live.runtime.inbox_messages import JobFailure, SendNotice
from htmx_live.runtime.notices import channels_of, deliver
from htmx_live.runtime.services import parts

__all__ = ["checked_notice", "expect_end"]


logger = logging.getLogger("htmx_live.progress")

_KIND = "progress-slow"


def checked_notice(session: Session, name: str) -> str:
    """``name``, if there is somebody to tell; ``ValueError`` if not."""
    if name and not channels_of(session.owner):
        raise ValueError(
            f"session.run(notify={name!r}): nobody owns the session, so there is nobody to tell. "
            "Give it an owner: ProgressSession.create(tasks, owner=request)."
        )
    return name


def expect_end(session: str, task: str, row: Row) -> None:
    """Have somebody look whether the start that ``row`` is of takes its time."""
    if row.notify:
        note = json.dumps({"kind": _KIND, "session": session, "task": task, "ref": row.ref})
        parts().store.set_deadline(_name(session, task), note, within=settings().SLOW_AFTER)


def _tell_end(session: str, task: str, row: Row) -> None:
    if row.status is not ProgressStatus.CANCELLED:
        level = "success" if row.status is ProgressStatus.COMPLETE else "error"
        _tell(session, task, row, level=level)


def _tell_slow(note: dict[str, Any]) -> None:
    session, task = str(note["session"]), str(note["task"])
    parts().store.clear_deadline(_name(session, task))
    found = keeping().row(session, task)
    if found is None or found[0].ref != note["ref"] or found[0].status.is_ended:
        return
    _tell(session, task, found[0], level="info")
    after = keeping().row(session, task)
    if after is not None and after[0].status.is_ended:
        _tell_end(session, task, after[0])


def _tell(session: str, task: str, row: Row, *, level: str) -> None:
    """Never raises: the work has ended as it has."""
    try:
        kept = keeping().load(session)
        if kept is None:
            return
        with translation.override(row.language or None):
            message = _message(row)
        notice = Unread(id=random_id(), key=_name(session, task), message=message, level=level, url=_url(row))
        deliver(SendNotice(channel=channels_of(kept.session.owner)[0], notice=asdict(notice)))
    except StoreUnavailable as error:
        log_unavailable(logger, error, "notices of tasks", "No notice of the task %s could be sent", task)
    except Exception:  # a boundary: a notice that goes wrong must not end the work that it tells of
        logger.exception("A notice of the task %s went wrong", task)


def _message(row: Row) -> str:
    if not row.status.is_ended:
        return _("%(job)s: still going…") % {"job": row.notify}
    if row.message:
        return _("%(job)s: %(why)s") % {"job": row.notify, "why": row.message}
    if row.status is ProgressStatus.COMPLETE:
        return _("%(job)s: done.") % {"job": row.notify}
    if row.error:
        return _("%(job)s: %(why)s") % {"job": row.notify, "why": JobFailure(id=row.error)}
    return task_message(row, row.status, row.notify)


def _url(row: Row) -> str:
    """Where to find what came of it, if that is on this site."""
    hosts = set(settings().REDIRECT_HOSTS)
    return row.result if row.result and url_has_allowed_host_and_scheme(row.result, allowed_hosts=hosts) else ""


def _name(session: str, task: str) -> str:
    return f"{_KIND}:{session}:{task}"


endings.append(_tell_end)
on_overdue(_KIND, _tell_slow)
