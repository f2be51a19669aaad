"""``dispatch``: the one function through which an instance changes.

    lease ▸ load ▸ [transaction: events ▸ render] ▸ save ▸ send ▸ release ▸ start and cancel jobs

A user's event waits for the lease, is applied alone and answers.  A background event is put into the mailbox; whoever
gets the lease next takes all that waits, applies each and renders once.  Nobody waits for a lease but users, and jobs
that have filled the mailbox: who releases one and finds mail left has it looked after by the pool of turns.

Messages are sent before the lease is released: in the other order, a later turn's message could be numbered before an
earlier one's, and the log would keep the older render.

What follows a turn that is saved: jobs are cancelled and started, others are pushed to, children end.

Nobody waits for a store that is away: what is saved stands, and the rest is done when the store is back.

An instance as it is now, for whoever missed something; nothing changes.

Reviving: a turn on a record that code of another day may have written.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from django.http import HttpRequest

from htmx_live.backends.base import Lease, Loaded
from htmx_live.backends.wire import SYNC
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Busy, InstanceGone, RunnerUnavailable, StateError, StoreUnavailable
from htmx_live.core.fragments import Fragment, text_target
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.jobs.runner import Job
from htmx_live.runtime import rendering
from htmx_live.runtime.files import keeping
from htmx_live.runtime.inbox_messages import (
    Adopt,
    Again,
    Call,
    Event,
    JobEnd,
    JobFailure,
    Mail,
    Merge,
    Push,
    PushTo,
    StartJob,
    fold_of,
    write_mail,
)
from htmx_live.runtime.job_leases import announce
from htmx_live.runtime.mailbox import give_drain, look_after, post, post_and_schedule
from htmx_live.runtime.message_handlers import ended, receive, receive_own
from htmx_live.runtime.notices import still_going
from htmx_live.runtime.rendering import granted
from htmx_live.runtime.request_context import after_commit, around, atomic_where_asked
from htmx_live.runtime.services import keep_trying, parts
from htmx_live.runtime.turn import Asked, Turn, current, lacks_attribute
from htmx_live.runtime.turn_result import First, Shown, Turned, answer, keep, rendered, send, without_view
from htmx_live.runtime.variants import as_shown_on, channels_of, variant_on
from htmx_live.runtime.view import import_view

__all__ = [
    "check_state",
    "deliver",
    "dispatch",
    "drain",
    "end",
    "follow_up",
    "look_after",
    "mend",
    "present",
    "revive",
    "start_jobs",
]


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


def revive(
    record: Record,
    *,
    request: HttpRequest | None = None,
    owner: Callable[[bool], Owner] | None = None,
    children: Literal["kept", "full"] = "kept",
) -> Turn:
    """A turn on ``record``, to be called inside ``around(record)``, for its state may need the database.

    A deployment may have removed what the state consists of, or added attributes that it lacks.  Then the instance
    ends, its pages mount it again, and ``InstanceGone`` is raised.
    """
    try:
        check_state(record)
        return Turn(record, request=request, owner=owner, children=children)
    except (StateError, ImportError) as error:
        logger.warning(
            "Instance %s (%s) cannot be read; it will be mounted again: %s", record.instance, record.view, error
        )
    end(record.instance)
    if request is None or record.shared:  # else the answer to the request is the view, mounted again
        keep_trying(partial(_ask_for_sync, record))
    raise InstanceGone(f"The state of instance {record.instance} cannot be read.")


def check_state(record: Record) -> None:
    """Raise ``StateError`` if the running code's ``mount()`` sets what the code that saved ``record`` did not know."""
    missing = import_view(record.view)._mounted - record.state.keys() - set(record.unset)
    if missing:
        raise StateError(f"Its state lacks {', '.join(sorted(missing))}, which mount() sets.")


def _ask_for_sync(record: Record) -> None:
    """A background turn cannot mount the view again: that takes a request of its user."""
    parts().bus.publish(channels_of(record), f"live-{record.instance}", "{}", event=SYNC)


def present(record: Record) -> Fragment:
    """The whole root at the record's rev, with its children in full; ``InstanceGone`` when it cannot be read."""
    with around(record):
        turn = revive(record, children="full")
        return rendering.fragment(record, rendering.render(turn.view, record, turn.stand_in))


def dispatch(instance: str, event: Event) -> Turned | None:
    """Apply ``event``; the answer to a user's event, None for a background one.

    A background event inside of the caller's transaction waits for its commit, and is dropped by a rollback.
    Raises ``Busy``, ``TooManyWaiting``, ``InstanceGone``, ``PermissionDenied`` and what the handler raised; nothing has
    changed then.
    """
    store = parts().store
    if isinstance(event, Mail):
        after_commit(lambda: _post(instance, event))
        return None
    limits = settings()
    lease = store.acquire(instance, wait=limits.BUSY_TIMEOUT, max_waiting=limits.MAX_WAITING_EVENTS)
    if lease is None:
        raise Busy(f"Instance {instance} was busy for more than {limits.BUSY_TIMEOUT} s.")
    return _hold(lease, event)


def drain(instance: str, *, wait: float = 0) -> None:
    """Apply what waits in a mailbox, unless a turn is running: whoever runs it sees to the mailbox afterwards.

    ``wait`` is how long, in seconds, to wait for the end of that turn all the same.
    """
    lease = parts().store.acquire(instance, wait=wait)
    if lease is not None:
        try:
            _hold(lease, None)
        except InstanceGone:
            logger.debug("Mail for instance %s, which is gone, was dropped", instance)


@give_drain
def _drain(instance: str) -> None:
    drain(instance)


def _post(instance: str, mail: Mail) -> None:
    """From a job, which holds no lease and may wait: one that flushes faster than turns are made is slowed down."""
    waiting, limits = post(instance, mail), settings()
    try:
        if waiting:
            drain(instance, wait=limits.BUSY_TIMEOUT if waiting > limits.MAX_MAIL else 0)
    except StoreUnavailable:  # it is posted: posting it once more would do it twice
        look_after(instance)


def _hold(lease: Lease, event: Call | Adopt | None) -> Turned | None:
    """One turn under ``lease``, which is released in any case; what was saved is followed up in any case."""
    store = parts().store
    saved: _Saved | None = None
    was_empty = False
    try:
        loaded = store.load(lease.instance)
        if loaded is None:
            raise InstanceGone(f"There is no instance {lease.instance}.")
        was_empty = not loaded.mail
        if event is None and was_empty:
            return None
        with keeping():
            saved = _run(lease, loaded, event)
        send(saved.record, saved.asked, saved.shown, to_user=event is not None)
        return _answer(saved, event) if event is not None else None
    finally:
        # Mail whose own turn failed waits for the next one: looked after at once, it could fail for ever.  What came
        # since the mailbox was found empty was left to this lease's holder.
        if _release(lease) and (saved is not None or event is not None or was_empty):
            look_after(lease.instance)
        if saved is not None:
            _follow_up(saved)


def _release(lease: Lease) -> bool:
    """Whether mail may be left.  While the store is away the lease ends by itself, and what was saved stands."""
    try:
        return parts().store.release(lease)
    except StoreUnavailable as error:
        log_unavailable(
            logger, error, "releases of leases", "The lease of instance %s is released later", lease.instance
        )
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """A turn that is saved: ``record`` in the place of ``before``.

    ``turn`` is None when it failed as a whole; ``shows_all``: the answer is for a page that may have nothing of it.
    """

    before: Record
    record: Record
    turn: Turn | None
    shown: Shown
    shows_all: bool = False

    @property
    def asked(self) -> list[Asked]:
        return self.turn.asked if self.turn else []

    @property
    def born(self) -> list[First]:
        return self.turn.born if self.turn else []


def _run(lease: Lease, loaded: Loaded, event: Call | Adopt | None) -> _Saved:
    letters = loaded.mail if event is None else ()
    try:
        saved = _apply(loaded.record, event, letters)
    except (InstanceGone, StoreUnavailable):
        raise
    except Exception as error:  # a boundary: jobs that have ended must end on the page too, whatever fails
        if event is not None:
            _note_failure(lease, loaded.record, error)
            raise
        saved = _give_up(loaded.record, letters)
    announce(lease.instance, saved.turn.jobs.starts if saved.turn else ())
    for born in saved.born:
        keep(born)
    try:
        is_saved = parts().store.save(saved.record, lease=lease, taken=0 if event else loaded.mark)
    except StoreUnavailable:  # it may have been heard, and the answer lost
        mend(saved.turn, lease.instance)
        raise
    if not is_saved:
        for born in saved.born:
            end(born.turned.record.instance)
        raise InstanceGone(f"Instance {lease.instance} ended while its turn was running.")
    return saved


def _note_failure(lease: Lease, record: Record, error: Exception) -> None:
    """Keep a reload from taking over a record on which the running code fails for want of an attribute."""
    if lacks_attribute(error) and not record.is_broken:
        parts().store.save(replace(record, rev=record.rev + 1, is_broken=True), lease=lease)


def _apply(record: Record, event: Call | Adopt | None, letters: Iterable[str]) -> _Saved:
    """The turn itself: nothing is stored or sent yet."""
    record = granted(replace(record, **event.facts) if isinstance(event, Adopt) else record)
    is_repeated = isinstance(event, Call) and event.nonce in record.nonces
    with around(record), atomic_where_asked():
        turn = revive(record, request=event.request if event else None)
        with current(turn):
            if isinstance(event, Call) and not is_repeated:
                turn.call(event)
                receive_own(turn)
            elif event is not None:
                turn.adopt(event) if isinstance(event, Adopt) else turn.allow()
            receive(turn, letters)
            done, shown = rendered(turn, is_background=event is None)
    shows_all = is_repeated or isinstance(event, Adopt)
    return _Saved(before=record, record=done, turn=turn, shown=shown, shows_all=shows_all)


def _give_up(record: Record, letters: Iterable[str]) -> _Saved:
    """What is left of a background turn that failed as a whole, in ``AROUND`` or at its commit.

    None of the project's code is run: what ended has ended, and an error stands in the view's place.
    """
    error = random_id()[:8]
    logger.exception("A background turn of %s failed (error %s)", record.view, error)
    gone = ended(letters)
    rows = tuple(row for row in record.jobs if row.ref not in gone)
    inner = rendering.failure(JobFailure(id=error))
    done, shown = without_view(replace(record, rev=record.rev + 1, jobs=rows), inner)
    return _Saved(before=record, record=done, turn=None, shown=shown)


def _answer(saved: _Saved, event: Call | Adopt) -> Turned:
    record, page = saved.record, event.page
    variant = variant_on(page, record.instance) if record.shared and page else ""
    is_unknown = record.shared and variant not in record.viewed
    fragment = present(as_shown_on(page, record)) if saved.shows_all or is_unknown else saved.shown.get(variant)
    turned = answer(saved.record, fragment, saved.asked)
    return replace(turned, address=saved.turn.address) if saved.turn else turned


def _follow_up(saved: _Saved) -> None:
    """What a turn asked of others, and the end of the children that it did not render."""
    if saved.turn:
        follow_up(saved.turn)
    for child in saved.before.own_children() - saved.record.own_children():
        keep_trying(partial(end, child))
