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
    Again,
    JobEnd,
    JobFailure,
    JobLost,
    JobMail,
    Mail,
    Merge,
    Notice,
    Push,
    Tick,
    Viewed,
    read_mail,
)
from htmx_live.runtime.notices import how_it_ended
from htmx_live.runtime.state import decode, take_state
from htmx_live.runtime.turn import Turn, invoke
from htmx_live.runtime.variants import viewed

__all__ = ["ended", "receive", "receive_own"]


logger = logging.getLogger("htmx_live.runtime")


def receive(turn: Turn, letters: Iterable[str]) -> None:
    """Apply letters in order."""
    for mail in _read(letters):
        if isinstance(mail, Push | Tick):
            _push(turn, mail)
            continue
        if isinstance(mail, Viewed):
            turn.record = viewed(turn.record, mail.variant)
            continue
        if isinstance(mail, Again):
            _say_again(turn, mail)
            continue
        row = turn.jobs.find(mail.ref) if isinstance(mail, JobLost) else turn.jobs.find_back(mail.ref)
        if row is not None:  # else cancelled or replaced in the meantime, or ended before
            _hear(turn, row, mail)


def receive_own(turn: Turn) -> None:
    """The share of this instance in what its own event has pushed to its view."""
    for push in list(turn.pushes):
        if push.is_meant_for(turn.record):
            _push(turn, Push(state=push.state, handler=push.handler, payload=push.payload))
            turn.pushes[turn.pushes.index(push)] = replace(push, without=turn.record.instance)


def ended(letters: Iterable[str]) -> set[str]:
    """The refs of the jobs whose ends are among ``letters``."""
    return {mail.ref for mail in _read(letters) if isinstance(mail, JobEnd | JobLost)}


def _read(letters: Iterable[str]) -> list[Mail]:
    found: list[Mail] = []
    for letter in letters:
        try:
            found.append(read_mail(letter))
        except (ValueError, KeyError, TypeError):
            logger.exception("A letter that cannot be read is dropped")
    return found


def _push(turn: Turn, mail: Push | Tick) -> None:
    name = "handle_tick" if isinstance(mail, Tick) else mail.handler
    with turn.guarded(name or "A push"):
        if isinstance(mail, Push):
            take_state(turn.view, mail.state)
        if name:
            payload = decode(mail.payload) if isinstance(mail, Push) else {}
            turn.heed(invoke(getattr(turn.view, name), **payload), name)


def _say_again(turn: Turn, mail: Again) -> None:
    turn.page = mail.page
    for effect in mail.effects:
        turn.ask(effect)
    turn.page = ""
    turn.renders = turn.resends = True


def _hear(turn: Turn, row: JobRow, mail: JobMail) -> None:
    turn.view._live.page = turn.page = row.page
    turn.view._live.starter = row.handler
    if isinstance(mail, Merge):
        with turn.guarded(f"A flush of {row.name}"):
            turn.merge(mail.changes, mail.removed)
            for effect in mail.effects:
                turn.ask(effect)
    else:
        if isinstance(mail, JobEnd):
            turn.jobs.rows.remove(row)
            _end(turn, row, mail)
        elif isinstance(mail, JobLost):
            _lose(turn, row, mail)
        elif mail.stage != row.stage:
            turn.jobs.note(row, stage=mail.stage)
            if mail.stage:
                text = _("Waiting for a worker…") if mail.stage == "waiting" else _("This takes longer than usual.")
                turn.ask(Notice(message=text))
        turn.renders = True  # what is loading changes
    turn.page = ""


def _lose(turn: Turn, row: JobRow, mail: JobLost) -> None:
    error = random_id()[:8]
    logger.error("%s of %s was lost with its process (error %s)", row.name, turn.record.view, error)
    if mail.again:
        turn.jobs.restart(row, mail.again)
        turn.ask(Notice(message=_("The work was interrupted and is being done again."), level="warning"))
    else:
        turn.jobs.lose(row)
        _end(turn, row, JobEnd(ref=row.ref, failure=JobFailure(id=error, kind="lost")))


def _end(turn: Turn, row: JobRow, end: JobEnd) -> None:
    with turn.guarded(f"The end of {row.name}"):
        turn.merge(end.changes, end.removed)
    if end.cancelled:
        return
    notice = how_it_ended(turn.record.owner, row, end.failure)
    if notice is not None:
        turn.ask(notice)
    told = getattr(turn.view, "handle_async_result", None)
    if told is not None:
        with turn.guarded(f"handle_async_result({row.name!r})"):
            result = decode(end.result) if end.failure is None else None
            turn.heed(invoke(told, row.name, result=result, error=end.failure), "handle_async_result")
    elif end.failure is not None and notice is None:
        turn.ask(Notice(message=str(end.failure), level="error"))
