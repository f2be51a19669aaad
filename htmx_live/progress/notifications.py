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

from htmx_live.backends.notice_store import StoredNotice
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.jobs.watchdog import register_deadline_handler
from htmx_live.progress.cards import task_message
from htmx_live.progress.model import ProgressStatus, SessionHeader, TaskState
from htmx_live.progress.store import progress_store, task_finished_receivers
from htmx_live.runtime.inbox_messages import JobFailure, SendNotice
from htmx_live.runtime.notices import deliver_notice, notice_channels
from htmx_live.runtime.services import services

__all__ = ["schedule_slow_notice", "validate_notify"]


logger = logging.getLogger("htmx_live.progress")

_SLOW_KIND = "progress-slow"


def validate_notify(header: SessionHeader, name: str) -> str:
    """``name``, if there is somebody to tell; ``ValueError`` if not."""
    if name and not notice_channels(header.owner):
        raise ValueError(
            f"session.run(notify={name!r}): nobody owns the session, so there is nobody to tell. "
            "Give it an owner: ProgressSession.create(tasks, owner=request)."
        )
    return name


def schedule_slow_notice(session_id: str, task_id: str, state: TaskState) -> None:
    """Have somebody look whether the start that ``state`` is of takes its time."""
    if state.notify:
        payload = json.dumps({"kind": _SLOW_KIND, "session": session_id, "task": task_id, "ref": state.ref})
        services().store.set_deadline(_deadline_name(session_id, task_id), payload, within=settings().SLOW_AFTER)


def _notify_end(session_id: str, task_id: str, state: TaskState) -> None:
    if state.status is not ProgressStatus.CANCELLED:
        level = "success" if state.status is ProgressStatus.COMPLETE else "error"
        _notify(session_id, task_id, state, level=level)


def _notify_slow(payload: dict[str, Any]) -> None:
    session, task = str(payload["session"]), str(payload["task"])
    services().store.clear_deadline(_deadline_name(session, task))
    found = progress_store().load_task(session, task)
    if found is None or found[0].ref != payload["ref"] or found[0].status.is_ended:
        return
    _notify(session, task, found[0], level="info")
    after = progress_store().load_task(session, task)
    if after is not None and after[0].status.is_ended:
        _notify_end(session, task, after[0])


def _notify(session_id: str, task_id: str, state: TaskState, *, level: str) -> None:
    """Never raises: the work has ended as it has."""
    try:
        snapshot = progress_store().load(session_id)
        if snapshot is None:
            return
        with translation.override(state.language or None):
            message = _message(state)
        notice = StoredNotice(
            id=random_id(),
            key=_deadline_name(session_id, task_id),
            message=message,
            level=level,
            url=_result_url(state),
        )
        deliver_notice(SendNotice(channel=notice_channels(snapshot.header.owner)[0], notice=asdict(notice)))
    except StoreUnavailable as error:
        log_unavailable(logger, error, "notices of tasks", "No notice of the task %s could be sent", task_id)
    except Exception:  # a boundary: a notice that goes wrong must not end the work that it tells of
        logger.exception("A notice of the task %s went wrong", task_id)


def _message(state: TaskState) -> str:
    if not state.status.is_ended:
        return _("%(job)s: still going…") % {"job": state.notify}
    if state.message:
        return _("%(job)s: %(why)s") % {"job": state.notify, "why": state.message}
    if state.status is ProgressStatus.COMPLETE:
        return _("%(job)s: done.") % {"job": state.notify}
    if state.error:
        return _("%(job)s: %(why)s") % {"job": state.notify, "why": JobFailure(id=state.error)}
    return task_message(state, state.status, state.notify)


def _result_url(state: TaskState) -> str:
    """Where to find what came of it, if that is on this site."""
    hosts = set(settings().REDIRECT_HOSTS)
    return state.result if state.result and url_has_allowed_host_and_scheme(state.result, allowed_hosts=hosts) else ""


def _deadline_name(session_id: str, task_id: str) -> str:
    return f"{_SLOW_KIND}:{session_id}:{task_id}"


task_finished_receivers.append(_notify_end)
register_deadline_handler(_SLOW_KIND, _notify_slow)
