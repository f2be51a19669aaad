"""What follows a turn that is saved: jobs are cancelled and started, others are pushed to, children end.

Nobody waits for a store that is away: what is saved stands, and the rest is done when the store is back.
"""

import logging
from functools import partial

from htmx_live.conf import settings
from htmx_live.events import Again, JobEnd, JobFailure, Merge, Push, PushTo, StartJob
from htmx_live.exceptions import RunnerUnavailable
from htmx_live.fragments import text_target
from htmx_live.grants import random_id
from htmx_live.letters import fold_of, write_mail
from htmx_live.records import JobRow, Record
from htmx_live.runners.base import Job
from htmx_live.runtime.later import keep_trying
from htmx_live.runtime.mailbox import look_after, post, post_and_schedule
from htmx_live.runtime.notices import still_going
from htmx_live.runtime.parts import parts
from htmx_live.runtime.turn import Turn

__all__ = ["deliver", "end", "follow_up", "mend", "start_jobs"]

logger = logging.getLogger("htmx_live.runtime")

_PAUSE = 1.0  # seconds until a store that is away is tried again


def follow_up(turn: Turn) -> None:
    """All that a saved turn asked of others."""
    start_jobs(turn)
    for push in turn.pushes:
        keep_trying(partial(deliver, push, done=set()))


def deliver(push: PushTo, *, done: set[str] | None = None) -> int:
    """Post a push to every instance that it is meant for; how many there are.

    Those that somebody looks at are looked after at once.  The others keep it for their return; one that has more
    mail than ``MAX_MAIL`` is given up, and mounted again if it returns.  Those that are ``done`` have it already.
    """
    here, count = parts(), 0
    letter = Push(state=push.state, handler=push.handler, payload=push.payload)
    text, fold = write_mail(letter), fold_of(letter)
    for record in here.store.of_view(push.view, state=False, user=push.user or ""):
        if not push.is_meant_for(record) or (done is not None and record.instance in done):
            continue
        waiting = here.store.post(record.instance, text, fold=fold)
        if done is not None:
            done.add(record.instance)
        if here.store.is_shown(record.instance):
            look_after(record.instance)
        elif waiting > settings().MAX_MAIL and not record.jobs:
            end(record.instance)
        count += bool(waiting)
    return count


def end(instance: str) -> None:
    """Remove an instance for good: its jobs are cancelled, its text streams forgotten.  Harmless when it is gone."""
    here = parts()
    loaded = here.store.load(instance)
    if loaded is None:
        return
    here.store.delete(instance)
    here.bus.end_texts_under(text_target(instance, ""))
    for row in loaded.record.jobs:
        here.runner.cancel(row.ref)
    for child in loaded.record.own_children():
        end(child)


def start_jobs(turn: Turn) -> None:
    """Cancel and start what the turn asked for, once it is saved."""
    for born in turn.born:
        start_jobs(born.turn)
    here = parts()
    for ref in turn.jobs.dropped:
        here.runner.cancel(ref)
    if turn.jobs.starts:
        here.watcher.start()
    for start in turn.jobs.starts:
        try:
            here.runner.submit(_job(turn.record.instance, start))
        except RunnerUnavailable:
            error = random_id()[:8]
            logger.exception("%s could not be started (error %s)", start.row.name, error)
            keep_trying(partial(_refuse, turn.record.instance, start, error))
        else:
            _tell_if_slow(turn.record, start.row)


def _tell_if_slow(record: Record, row: JobRow) -> None:
    """As a message of the job itself, which is dropped if that has ended meanwhile."""
    notice, timer = still_going(record.owner, row), parts().timer

    def call() -> None:
        if notice is not None:
            post_and_schedule(record.instance, Merge(ref=row.ref, effects=[notice]))

    if notice is not None:
        timer.at(timer() + settings().SLOW_AFTER, call)


def mend(turn: Turn | None, instance: str) -> None:
    """A turn may have been saved or not: whatever the record says is shown, and no job is waited for in vain."""

    def call() -> None:
        for start in turn.jobs.starts if turn else ():
            post(instance, JobEnd(ref=start.row.ref, failure=JobFailure(id=random_id()[:8], kind="refused")))
        post_and_schedule(instance, Again())

    keep_trying(call, after=_PAUSE)


def _refuse(instance: str, start: StartJob, error: str) -> None:
    post_and_schedule(instance, JobEnd(ref=start.row.ref, failure=JobFailure(id=error, kind="refused")))


def _job(instance: str, start: StartJob) -> Job:
    return Job(
        ref=start.row.ref,
        instance=instance,
        callback=start.callback,
        args=start.args,
        kwargs=start.kwargs,
        is_async=start.is_async,
        retries=start.retries,
    )
