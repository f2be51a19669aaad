"""``dispatch``: the one function through which an instance changes.

    lease ▸ load ▸ [transaction: events ▸ render] ▸ save ▸ send ▸ release ▸ start and cancel jobs

A user's event waits for the lease, is applied alone and answers.  A background event is put into the mailbox; whoever
gets the lease next takes all that waits, applies each and renders once.  Nobody waits for a lease but users: who
releases one and finds mail left has it looked after by the pool of turns.

Messages are sent before the lease is released: in the other order, a later turn's message could be numbered before an
earlier one's, and the log would keep the older render.
"""

import logging
import threading
from dataclasses import replace
from functools import partial

from django.http import HttpRequest

from htmx_live.conf import settings
from htmx_live.events import (
    Adopt,
    Call,
    Event,
    JobEnd,
    JobFailure,
    Mail,
    Push,
    PushTo,
    StartJob,
    Tick,
    fold_of,
    read_mail,
    write_mail,
)
from htmx_live.exceptions import Busy, InstanceGone, RunnerUnavailable, StateError
from htmx_live.grants import random_id
from htmx_live.records import Record
from htmx_live.runners.base import Job
from htmx_live.runtime.current import current
from htmx_live.runtime.first import keep
from htmx_live.runtime.grant import granted
from htmx_live.runtime.outcome import Turned, answer, rendered, send
from htmx_live.runtime.parts import give_tick, parts
from htmx_live.runtime.present import present
from htmx_live.runtime.surroundings import around, atomic_where_asked
from htmx_live.runtime.turn import Turn
from htmx_live.stores.base import Lease, Loaded

__all__ = ["deliver", "dispatch", "drain", "end", "look_after", "start_jobs", "tick"]

logger = logging.getLogger("htmx_live.runtime")

_scheduled: set[str] = set()  # instances that the pool will look after
_scheduled_lock = threading.Lock()


def dispatch(instance: str, event: Event) -> Turned | None:
    """Apply ``event``; the answer to a user's event, None for a background one.

    Raises ``Busy``, ``InstanceGone``, ``PermissionDenied`` and whatever the handler raised; then nothing has changed.
    """
    store = parts().store
    if isinstance(event, Mail):
        if store.post(instance, write_mail(event), fold=fold_of(event)):
            drain(instance)
        return None
    lease = store.acquire(instance, wait=settings().BUSY_TIMEOUT)
    if lease is None:
        raise Busy(f"Instance {instance} was busy for more than {settings().BUSY_TIMEOUT} s.")
    return _hold(lease, event)


def look_after(instance: str) -> None:
    """Have the pool of turns drain a mailbox; once, however often it is asked before it does."""
    with _scheduled_lock:
        if instance in _scheduled:
            return
        _scheduled.add(instance)
    parts().turns.submit(partial(_drain_scheduled, instance))


def _drain_scheduled(instance: str) -> None:
    with _scheduled_lock:
        _scheduled.discard(instance)  # before reading: what is posted from now on asks again
    drain(instance)


def drain(instance: str) -> None:
    """Apply what waits in a mailbox, unless a turn is running: whoever runs it sees to the mailbox afterwards."""
    lease = parts().store.acquire(instance, wait=0)
    if lease is not None:
        try:
            _hold(lease, None)
        except InstanceGone:
            logger.debug("Mail for instance %s, which is gone, was dropped", instance)


def tick(instance: str) -> bool:
    """Post a tick, unless nobody looks at the instance: then False."""
    store = parts().store
    if not store.is_shown(instance) or not store.post(instance, write_mail(Tick()), fold=fold_of(Tick())):
        return False
    look_after(instance)
    return True


give_tick(tick)


def deliver(push: PushTo) -> int:
    """Post a push to every instance that it is meant for; how many there are.

    Those that somebody looks at are looked after at once.  The others keep it for their return; one that has more
    mail than ``MAX_MAIL`` is given up, and mounted again if it returns.
    """
    here, count = parts(), 0
    letter = Push(state=push.state, handler=push.handler, payload=push.payload)
    text, fold = write_mail(letter), fold_of(letter)
    for record in here.store.of_view(push.view):
        if not push.is_meant_for(record):
            continue
        waiting = here.store.post(record.instance, text, fold=fold)
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
    for row in loaded.record.jobs:
        here.runner.cancel(row.ref)
    for child, _ in loaded.record.children.values():
        end(child)


def _hold(lease: Lease, event: Call | Adopt | None) -> Turned | None:
    """One turn under ``lease``, which is released in any case."""
    store = parts().store
    is_good = False
    try:
        loaded = store.load(lease.instance)
        if loaded is None:
            raise InstanceGone(f"There is no instance {lease.instance}.")
        turned = None
        if event is not None or loaded.mail:
            turn, turned = _run(lease, loaded, event)
        is_good = True
    finally:
        # Mail whose own turn failed waits for the next one: looked after at once, it could fail for ever.
        if store.release(lease) and (is_good or event is not None):
            look_after(lease.instance)
    if turned is None:
        return None
    start_jobs(turn)
    for push in turn.pushes:
        deliver(push)
    for child in {one for one, _ in loaded.record.children.values()} - {
        one for one, _ in turned.record.children.values()
    }:
        end(child)
    return turned


def _run(lease: Lease, loaded: Loaded, event: Call | Adopt | None) -> tuple[Turn, Turned]:
    request = event.request if event else None
    turn = _begin(loaded.record, request)
    is_repeated = isinstance(event, Call) and event.nonce != "" and event.nonce in loaded.record.nonces
    letters = loaded.mail if event is None else ()
    with around(turn.record), current(turn), atomic_where_asked():
        if isinstance(event, Call) and not is_repeated:
            turn.call(event)
            turn.receive_own()
        elif event is not None:
            turn.adopt(event) if isinstance(event, Adopt) else turn.allow()
        for letter in letters:
            _receive(turn, letter)
        record, fragment = rendered(turn, is_background=event is None)
    for born in turn.born:
        keep(born)
    if not parts().store.save(record, lease=lease, taken=loaded.mark if event is None else 0):
        for born in turn.born:
            end(born.turned.record.instance)
        raise InstanceGone(f"Instance {record.instance} ended while its turn was running.")
    send(record, turn.asked, fragment, to_user=event is not None)
    shows_all = is_repeated or isinstance(event, Adopt)  # to a page that may have nothing of it
    turned = answer(record, present(record) if shows_all else fragment, turn.asked)
    return turn, replace(turned, address=turn.address)


def _begin(record: Record, request: HttpRequest | None) -> Turn:
    try:
        return Turn(granted(record), request=request)
    except (StateError, ImportError):
        # A deploy took away what the state was made of: as good as gone, and mounted again.
        logger.exception("The state of instance %s (%s) cannot be read; it will be mounted again", *_names(record))
        parts().store.delete(record.instance)
        raise InstanceGone(f"The state of instance {record.instance} cannot be read.") from None


def _names(record: Record) -> tuple[str, str]:
    return record.instance, record.view


def _receive(turn: Turn, letter: str) -> None:
    try:
        mail = read_mail(letter)
    except (ValueError, KeyError, TypeError):
        logger.exception("A letter for instance %s cannot be read and is dropped", turn.record.instance)
        return
    turn.receive(mail)


def start_jobs(turn: Turn) -> None:
    """Cancel and start what the turn asked for, once it is saved."""
    for born in turn.born:
        start_jobs(born.turn)
    runner = parts().runner
    for ref in turn.dropped:
        runner.cancel(ref)
    for start in turn.starts:
        try:
            runner.submit(_job(turn.record.instance, start))
        except RunnerUnavailable:
            error = random_id()[:8]
            logger.exception("%s could not be started (error %s)", start.row.name, error)
            dispatch(turn.record.instance, JobEnd(ref=start.row.ref, failure=JobFailure(id=error, kind="refused")))


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
