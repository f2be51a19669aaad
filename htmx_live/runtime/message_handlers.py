"""Mail: what background events do to a turn.

None of them raises: one that fails is logged and put back, and a job that has ended has ended, whatever its view's
code does about it.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace

from django.utils.translation import gettext as _

from htmx_live.core.records import JobRow
from htmx_live.core.signing import random_id
from htmx_live.runtime.inbox_messages import (
    InstanceMessage,
    JobFailure,
    JobFinished,
    JobFlush,
    JobLost,
    JobMessage,
    Push,
    Rerender,
    ShowToast,
    Tick,
    VariantViewed,
    deserialize_message,
)
from htmx_live.runtime.notices import build_finished_notice
from htmx_live.runtime.state import decode, set_state
from htmx_live.runtime.turn import Turn, call_handler
from htmx_live.runtime.variants import touch_variant

__all__ = ["apply_messages", "apply_own_push", "finished_refs"]


logger = logging.getLogger("htmx_live.runtime")


def apply_messages(turn: Turn, messages: Iterable[str]) -> None:
    """Apply letters in order."""
    for message in _deserialize_messages(messages):
        if isinstance(message, Push | Tick):
            _apply_push(turn, message)
            continue
        if isinstance(message, VariantViewed):
            turn.record = touch_variant(turn.record, message.variant)
            continue
        if isinstance(message, Rerender):
            _apply_rerender(turn, message)
            continue
        row = turn.jobs.find(message.ref) if isinstance(message, JobLost) else turn.jobs.recover(message.ref)
        if row is not None:  # else cancelled or replaced in the meantime, or ended before
            _apply_job_message(turn, row, message)


def apply_own_push(turn: Turn) -> None:
    """The share of this instance in what its own event has pushed to its view."""
    for push in list(turn.pushes):
        if push.matches(turn.record):
            _apply_push(turn, Push(state=push.state, handler=push.handler, payload=push.payload))
            turn.pushes[turn.pushes.index(push)] = replace(push, without=turn.record.instance)


def finished_refs(messages: Iterable[str]) -> set[str]:
    """The refs of the jobs whose ends are among ``letters``."""
    return {mail.ref for mail in _deserialize_messages(messages) if isinstance(mail, JobFinished | JobLost)}


def _deserialize_messages(texts: Iterable[str]) -> list[InstanceMessage]:
    found: list[InstanceMessage] = []
    for text in texts:
        try:
            found.append(deserialize_message(text))
        except (ValueError, KeyError, TypeError):
            logger.exception("A letter that cannot be read is dropped")
    return found


def _apply_push(turn: Turn, message: Push | Tick) -> None:
    name = "handle_tick" if isinstance(message, Tick) else message.handler
    with turn.isolate_failure(name or "A push"):
        if isinstance(message, Push):
            set_state(turn.view, message.state)
        if name:
            payload = decode(message.payload) if isinstance(message, Push) else {}
            turn.handle_return_value(call_handler(getattr(turn.view, name), **payload), name)


def _apply_rerender(turn: Turn, message: Rerender) -> None:
    turn.page = message.page
    for effect in message.effects:
        turn.emit(effect)
    turn.page = ""
    turn.needs_render = turn.force_send = True


def _apply_job_message(turn: Turn, row: JobRow, message: JobMessage) -> None:
    turn.view._live.page = turn.page = row.page
    turn.view._live.handler = row.handler
    if isinstance(message, JobFlush):
        with turn.isolate_failure(f"A flush of {row.name}"):
            turn.merge(message.changes, message.removed)
            for effect in message.effects:
                turn.emit(effect)
    else:
        if isinstance(message, JobFinished):
            turn.jobs.rows.remove(row)
            _apply_job_finished(turn, row, message)
        elif isinstance(message, JobLost):
            _apply_job_lost(turn, row, message)
        elif message.stage != row.stage:
            turn.jobs.update(row, stage=message.stage)
            if message.stage:
                text = _("Waiting for a worker…") if message.stage == "waiting" else _("This takes longer than usual.")
                turn.emit(ShowToast(message=text))
        turn.needs_render = True  # what is loading changes
    turn.page = ""


def _apply_job_lost(turn: Turn, row: JobRow, message: JobLost) -> None:
    error_id = random_id()[:8]
    logger.error("%s of %s was lost with its process (error %s)", row.name, turn.record.view, error_id)
    if message.again:
        turn.jobs.restart(row, message.again)
        turn.emit(ShowToast(message=_("The work was interrupted and is being done again."), level="warning"))
    else:
        turn.jobs.mark_lost(row)
        _apply_job_finished(turn, row, JobFinished(ref=row.ref, failure=JobFailure(id=error_id, kind="lost")))


def _apply_job_finished(turn: Turn, row: JobRow, message: JobFinished) -> None:
    with turn.isolate_failure(f"The end of {row.name}"):
        turn.merge(message.changes, message.removed)
    if message.cancelled:
        return
    notice = build_finished_notice(turn.record.owner, row, message.failure)
    if notice is not None:
        turn.emit(notice)
    callback = getattr(turn.view, "handle_async_result", None)
    if callback is not None:
        with turn.isolate_failure(f"handle_async_result({row.name!r})"):
            result = decode(message.result) if message.failure is None else None
            turn.handle_return_value(
                call_handler(callback, row.name, result=result, error=message.failure), "handle_async_result"
            )
    elif message.failure is not None and notice is None:
        turn.emit(ShowToast(message=str(message.failure), level="error"))
