"""``dispatch``: the one function through which an instance changes.

    lease ▸ load ▸ [transaction: events ▸ render] ▸ save ▸ send ▸ release ▸ start and cancel jobs

A user's event waits for the lease, is applied alone and answers.  A background event is put into the mailbox; whoever
gets the lease next takes all that waits, applies each and renders once.  Nobody waits for a lease but users, and jobs
that have filled the mailbox: who releases one and finds mail left has it looked after by the pool of turns.

Messages are sent before the lease is released: in the other order, a later turn's message could be numbered before an
earlier one's, and the log would keep the older render.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from htmx_live.conf import settings
from htmx_live.events import Adopt, Call, Event, JobFailure, Mail
from htmx_live.exceptions import Busy, InstanceGone, StoreUnavailable
from htmx_live.grants import random_id
from htmx_live.outages import log_unavailable
from htmx_live.records import Record
from htmx_live.runtime import render as rendering
from htmx_live.runtime.current import current
from htmx_live.runtime.first import First, keep
from htmx_live.runtime.following import deliver, end, follow_up, mend, start_jobs
from htmx_live.runtime.grant import granted
from htmx_live.runtime.later import keep_trying
from htmx_live.runtime.leases import announce
from htmx_live.runtime.mail import ended, receive, receive_own
from htmx_live.runtime.mailbox import give_drain, look_after, post
from htmx_live.runtime.outcome import Shown, Turned, answer, rendered, send, without_view
from htmx_live.runtime.parts import parts
from htmx_live.runtime.present import present
from htmx_live.runtime.revive import revive
from htmx_live.runtime.surroundings import after_commit, around, atomic_where_asked
from htmx_live.runtime.sweeping import keeping
from htmx_live.runtime.turn import Asked, Turn, lacks_attribute
from htmx_live.runtime.variants import as_shown_on, variant_on
from htmx_live.stores.base import Lease, Loaded

__all__ = ["deliver", "dispatch", "drain", "end", "look_after", "start_jobs"]

logger = logging.getLogger("htmx_live.runtime")


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
    is_repeated = isinstance(event, Call) and event.nonce != "" and event.nonce in record.nonces
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
