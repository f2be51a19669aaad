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

from htmx_live.backends.base import Lease, LoadedRecord
from htmx_live.backends.wire import SYNC
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Busy, InstanceGone, RunnerUnavailable, StateError, StoreUnavailable
from htmx_live.core.fragments import Fragment, text_target
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.jobs.runner import Job
from htmx_live.runtime import rendering
from htmx_live.runtime.files import upload_transaction
from htmx_live.runtime.inbox_messages import (
    AttachPage,
    BroadcastPush,
    Event,
    InstanceMessage,
    JobFailure,
    JobFinished,
    JobFlush,
    Push,
    Rerender,
    StartJob,
    UserEvent,
    coalesce_key,
    serialize_message,
)
from htmx_live.runtime.job_leases import register_start_deadlines
from htmx_live.runtime.message_handlers import apply_messages, apply_own_push, finished_refs
from htmx_live.runtime.notices import build_slow_notice
from htmx_live.runtime.rendering import refresh_grant
from htmx_live.runtime.request_context import activate, atomic_if_configured, run_after_commit
from htmx_live.runtime.services import retry_in_background, services
from htmx_live.runtime.turn import PageEffect, Turn, activate_turn, is_missing_view_attribute
from htmx_live.runtime.turn_queue import (
    enqueue_and_schedule,
    enqueue_message,
    register_mailbox_processor,
    schedule_turn,
)
from htmx_live.runtime.turn_result import (
    FragmentsByVariant,
    InitialTurn,
    TurnResult,
    build_result,
    error_result,
    publish_effects,
    render_turn,
    store_initial_turn,
)
from htmx_live.runtime.variants import for_page, instance_channels, page_variant
from htmx_live.runtime.view import import_view

__all__ = [
    "check_state",
    "destroy",
    "dispatch",
    "process_mailbox",
    "push_to_instances",
    "recover_unsaved",
    "render_current",
    "restore_turn",
    "run_after_save",
    "schedule_turn",
    "start_jobs",
]


logger = logging.getLogger("htmx_live.runtime")

_RETRY_DELAY = 1.0  # seconds until a store that is away is tried again


def run_after_save(turn: Turn) -> None:
    """All that a saved turn asked of others."""
    start_jobs(turn)
    for push in turn.pushes:
        retry_in_background(partial(push_to_instances, push, delivered=set()))


def push_to_instances(push: BroadcastPush, *, delivered: set[str] | None = None) -> int:
    """Post a push to every instance that it is meant for; how many there are.

    Those that somebody looks at are looked after at once.  The others keep it for their return; one that has more
    mail than ``MAX_PENDING_MESSAGES`` is given up, and mounted again if it returns.  Those in ``done`` have it already.
    """
    process_services, count = services(), 0
    message = Push(state=push.state, handler=push.handler, payload=push.payload)
    text, key = serialize_message(message), coalesce_key(message)
    for record in process_services.store.find_by_view(push.view, with_state=False, user=push.user or ""):
        if not push.matches(record) or (delivered is not None and record.instance in delivered):
            continue
        queue_length = process_services.store.enqueue(record.instance, text, coalesce_key=key)
        if delivered is not None:
            delivered.add(record.instance)
        if process_services.store.is_viewed(record.instance):
            schedule_turn(record.instance)
        elif queue_length > settings().MAX_PENDING_MESSAGES and not record.jobs:
            destroy(record.instance)
        count += bool(queue_length)
    return count


def destroy(instance: str) -> None:
    """Remove an instance for good: its jobs are cancelled, its text streams forgotten.  Harmless when it is gone."""
    process_services = services()
    loaded = process_services.store.load(instance)
    if loaded is None:
        return
    process_services.store.delete(instance)
    process_services.bus.clear_texts_under(text_target(instance, ""))
    for row in loaded.record.jobs:
        process_services.runner.cancel(row.ref)
    for child in loaded.record.own_children():
        destroy(child)


def start_jobs(turn: Turn) -> None:
    """Cancel and start what the turn asked for, once it is saved."""
    for child in turn.new_children:
        start_jobs(child.turn)
    process_services = services()
    for ref in turn.jobs.to_cancel:
        process_services.runner.cancel(ref)
    if turn.jobs.to_start:
        process_services.deadline_monitor.start()
    for start in turn.jobs.to_start:
        try:
            process_services.runner.submit(_build_runner_job(turn.record.instance, start))
        except RunnerUnavailable:
            error_id = random_id()[:8]
            logger.exception("%s could not be started (error %s)", start.row.name, error_id)
            retry_in_background(partial(_report_refused_job, turn.record.instance, start, error_id))
        else:
            _schedule_slow_notice(turn.record, start.row)


def _schedule_slow_notice(record: Record, row: JobRow) -> None:
    """As a message of the job itself, which is dropped if that has ended meanwhile."""
    notice, timer = build_slow_notice(record.owner, row), services().timer

    def enqueue_notice() -> None:
        if notice is not None:
            enqueue_and_schedule(record.instance, JobFlush(ref=row.ref, effects=[notice]))

    if notice is not None:
        timer.call_at(timer() + settings().SLOW_AFTER, enqueue_notice)


def recover_unsaved(turn: Turn | None, instance: str) -> None:
    """A turn may have been saved or not: whatever the record says is shown, and no job is waited for in vain."""

    def recover() -> None:
        for start in turn.jobs.to_start if turn else ():
            enqueue_message(
                instance, JobFinished(ref=start.row.ref, failure=JobFailure(id=random_id()[:8], kind="refused"))
            )
        enqueue_and_schedule(instance, Rerender())

    retry_in_background(recover, delay=_RETRY_DELAY)


def _report_refused_job(instance: str, start: StartJob, error_id: str) -> None:
    enqueue_and_schedule(instance, JobFinished(ref=start.row.ref, failure=JobFailure(id=error_id, kind="refused")))


def _build_runner_job(instance: str, start: StartJob) -> Job:
    return Job(
        ref=start.row.ref,
        instance=instance,
        callback=start.callback,
        args=start.args,
        kwargs=start.kwargs,
        is_async=start.is_async,
        retries=start.retries,
    )


def restore_turn(
    record: Record,
    *,
    request: HttpRequest | None = None,
    get_owner: Callable[[bool], Owner] | None = None,
    child_mode: Literal["placeholder", "full"] = "placeholder",
) -> Turn:
    """A turn on ``record``, to be called inside ``around(record)``, for its state may need the database.

    A deployment may have removed what the state consists of, or added attributes that it lacks.  Then the instance
    ends, its pages mount it again, and ``InstanceGone`` is raised.
    """
    try:
        check_state(record)
        return Turn(record, request=request, get_owner=get_owner, child_mode=child_mode)
    except (StateError, ImportError) as error:
        logger.warning(
            "Instance %s (%s) cannot be read; it will be mounted again: %s", record.instance, record.view, error
        )
    destroy(record.instance)
    if request is None or record.shared:  # else the answer to the request is the view, mounted again
        retry_in_background(partial(_request_resync, record))
    raise InstanceGone(f"The state of instance {record.instance} cannot be read.")


def check_state(record: Record) -> None:
    """Raise ``StateError`` if the running code's ``mount()`` sets what the code that saved ``record`` did not know."""
    missing = import_view(record.view)._mount_names - record.state.keys() - set(record.unset)
    if missing:
        raise StateError(f"Its state lacks {', '.join(sorted(missing))}, which mount() sets.")


def _request_resync(record: Record) -> None:
    """A background turn cannot mount the view again: that takes a request of its user."""
    services().bus.publish(instance_channels(record), f"live-{record.instance}", "{}", event=SYNC)


def render_current(record: Record) -> Fragment:
    """The whole root at the record's rev, with its children in full; ``InstanceGone`` when it cannot be read."""
    with activate(record):
        turn = restore_turn(record, child_mode="full")
        return rendering.build_root_fragment(record, rendering.render(turn.view, record, turn.synthetic_request))


def dispatch(instance: str, event: Event) -> TurnResult | None:
    """Apply ``event``; the answer to a user's event, None for a background one.

    A background event inside of the caller's transaction waits for its commit, and is dropped by a rollback.
    Raises ``Busy``, ``TooManyWaiting``, ``InstanceGone``, ``PermissionDenied`` and what the handler raised; nothing has
    changed then.
    """
    store = services().store
    if isinstance(event, InstanceMessage):
        run_after_commit(lambda: _enqueue_and_process(instance, event))
        return None
    limits = settings()
    lease = store.acquire(instance, wait=limits.BUSY_TIMEOUT, max_waiting=limits.MAX_WAITING_EVENTS)
    if lease is None:
        raise Busy(f"Instance {instance} was busy for more than {limits.BUSY_TIMEOUT} s.")
    return _run_turn(lease, event)


def process_mailbox(instance: str, *, wait: float = 0) -> None:
    """Apply what waits in a mailbox, unless a turn is running: whoever runs it sees to the mailbox afterwards.

    ``wait`` is how long, in seconds, to wait for the end of that turn all the same.
    """
    lease = services().store.acquire(instance, wait=wait)
    if lease is not None:
        try:
            _run_turn(lease, None)
        except InstanceGone:
            logger.debug("Mail for instance %s, which is gone, was dropped", instance)


@register_mailbox_processor
def _process_mailbox(instance: str) -> None:
    process_mailbox(instance)


def _enqueue_and_process(instance: str, message: InstanceMessage) -> None:
    """From a job, which holds no lease and may wait: one that flushes faster than turns are made is slowed down."""
    queue_length, limits = enqueue_message(instance, message), settings()
    try:
        if queue_length:
            process_mailbox(instance, wait=limits.BUSY_TIMEOUT if queue_length > limits.MAX_PENDING_MESSAGES else 0)
    except StoreUnavailable:  # it is posted: posting it once more would do it twice
        schedule_turn(instance)


def _run_turn(lease: Lease, event: UserEvent | AttachPage | None) -> TurnResult | None:
    """One turn under ``lease``, which is released in any case; what was saved is followed up in any case."""
    store = services().store
    saved: _SavedTurn | None = None
    was_empty = False
    try:
        loaded = store.load(lease.instance)
        if loaded is None:
            raise InstanceGone(f"There is no instance {lease.instance}.")
        was_empty = not loaded.messages
        if event is None and was_empty:
            return None
        with upload_transaction():
            saved = _save_turn(lease, loaded, event)
        publish_effects(saved.record, saved.page_effects, saved.fragments, is_user_event=event is not None)
        return _build_event_result(saved, event) if event is not None else None
    finally:
        # Mail whose own turn failed waits for the next one: looked after at once, it could fail for ever.  What came
        # since the mailbox was found empty was left to this lease's holder.
        if _release_lease(lease) and (saved is not None or event is not None or was_empty):
            schedule_turn(lease.instance)
        if saved is not None:
            _run_after_save(saved)


def _release_lease(lease: Lease) -> bool:
    """Whether mail may be left.  While the store is away the lease ends by itself, and what was saved stands."""
    try:
        return services().store.release(lease)
    except StoreUnavailable as error:
        log_unavailable(
            logger, error, "releases of leases", "The lease of instance %s is released later", lease.instance
        )
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedTurn:
    """A turn that is saved: ``record`` in the place of ``before``.

    ``turn`` is None when it failed as a whole; ``shows_all``: the answer is for a page that may have nothing of it.
    """

    before: Record
    record: Record
    turn: Turn | None
    fragments: FragmentsByVariant
    needs_full_fragment: bool = False

    @property
    def page_effects(self) -> list[PageEffect]:
        return self.turn.page_effects if self.turn else []

    @property
    def new_children(self) -> list[InitialTurn]:
        return self.turn.new_children if self.turn else []


def _save_turn(lease: Lease, loaded: LoadedRecord, event: UserEvent | AttachPage | None) -> _SavedTurn:
    messages = loaded.messages if event is None else ()
    try:
        saved = _apply_event(loaded.record, event, messages)
    except (InstanceGone, StoreUnavailable):
        raise
    except Exception as error:  # a boundary: jobs that have ended must end on the page too, whatever fails
        if event is not None:
            _mark_broken(lease, loaded.record, error)
            raise
        saved = _fail_turn(loaded.record, messages)
    register_start_deadlines(lease.instance, saved.turn.jobs.to_start if saved.turn else ())
    for child in saved.new_children:
        store_initial_turn(child)
    try:
        is_saved = services().store.save(saved.record, lease=lease, ack=0 if event else loaded.last_message_number)
    except StoreUnavailable:  # it may have been heard, and the answer lost
        recover_unsaved(saved.turn, lease.instance)
        raise
    if not is_saved:
        for child in saved.new_children:
            destroy(child.result.record.instance)
        raise InstanceGone(f"Instance {lease.instance} ended while its turn was running.")
    return saved


def _mark_broken(lease: Lease, record: Record, error: Exception) -> None:
    """Keep a reload from taking over a record on which the running code fails for want of an attribute."""
    if is_missing_view_attribute(error) and not record.is_broken:
        services().store.save(replace(record, rev=record.rev + 1, is_broken=True), lease=lease)


def _apply_event(record: Record, event: UserEvent | AttachPage | None, messages: Iterable[str]) -> _SavedTurn:
    """The turn itself: nothing is stored or sent yet."""
    record = refresh_grant(replace(record, **event.fields) if isinstance(event, AttachPage) else record)
    is_repeated = isinstance(event, UserEvent) and event.nonce in record.nonces
    with activate(record), atomic_if_configured():
        turn = restore_turn(record, request=event.request if event else None)
        with activate_turn(turn):
            if isinstance(event, UserEvent) and not is_repeated:
                turn.handle_event(event)
                apply_own_push(turn)
            elif event is not None:
                turn.attach_page(event) if isinstance(event, AttachPage) else turn.check_permission()
            apply_messages(turn, messages)
            new_record, fragments = render_turn(turn, is_background=event is None)
    shows_all = is_repeated or isinstance(event, AttachPage)
    return _SavedTurn(before=record, record=new_record, turn=turn, fragments=fragments, needs_full_fragment=shows_all)


def _fail_turn(record: Record, messages: Iterable[str]) -> _SavedTurn:
    """What is left of a background turn that failed as a whole, in ``TURN_CONTEXT`` or at its commit.

    None of the project's code is run: what ended has ended, and an error stands in the view's place.
    """
    error_id = random_id()[:8]
    logger.exception("A background turn of %s failed (error %s)", record.view, error_id)
    finished = finished_refs(messages)
    rows = tuple(row for row in record.jobs if row.ref not in finished)
    inner = rendering.render_failure(JobFailure(id=error_id))
    new_record, fragments = error_result(replace(record, rev=record.rev + 1, jobs=rows), inner)
    return _SavedTurn(before=record, record=new_record, turn=None, fragments=fragments)


def _build_event_result(saved: _SavedTurn, event: UserEvent | AttachPage) -> TurnResult:
    record, page = saved.record, event.page
    variant = page_variant(page, record.instance) if record.shared and page else ""
    is_unknown = record.shared and variant not in record.viewed
    fragment = (
        render_current(for_page(page, record))
        if saved.needs_full_fragment or is_unknown
        else saved.fragments.get(variant)
    )
    result = build_result(saved.record, fragment, saved.page_effects)
    return replace(result, url_update=saved.turn.url_update) if saved.turn else result


def _run_after_save(saved: _SavedTurn) -> None:
    """What a turn asked of others, and the end of the children that it did not render."""
    if saved.turn:
        run_after_save(saved.turn)
    for child in saved.before.own_children() - saved.record.own_children():
        retry_in_background(partial(destroy, child))
