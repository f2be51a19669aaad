"""Mailboxes: letters are posted to instances, and the pool of turns looks after those that nobody else reads."""

import threading
from collections.abc import Callable
from functools import partial

from htmx_live.core.concurrency import after_fork, request_priority
from htmx_live.runtime.inbox_messages import InstanceMessage, coalesce_key, serialize_message
from htmx_live.runtime.services import retry_in_background, services

__all__ = ["enqueue_and_schedule", "enqueue_message", "register_mailbox_processor", "schedule_turn"]


_scheduled: set[str] = set()  # instances that the pool will look after
_lock = threading.Lock()
_process_mailbox: Callable[[str], None]


def register_mailbox_processor(process: Callable[[str], None]) -> Callable[[str], None]:
    """Say how a mailbox is emptied; decorates what does it, in the module that dispatches events, which is above."""
    global _process_mailbox
    _process_mailbox = process
    return process


def enqueue_message(instance: str, message: InstanceMessage) -> int:
    """Put a letter into the mailbox; how many wait there, 0 when the instance is gone."""
    return services().store.enqueue(instance, serialize_message(message), coalesce_key=coalesce_key(message))


def schedule_turn(instance: str) -> None:
    """Have the pool of turns drain a mailbox; once, however often it is asked before it does."""
    with _lock:
        if instance in _scheduled:
            return
        _scheduled.add(instance)
    services().turn_pool.submit(partial(_run_scheduled_turn, instance))


def enqueue_and_schedule(instance: str, message: InstanceMessage) -> None:
    """Put a letter into the mailbox and have the pool of turns read it, without running a turn on this thread."""
    if enqueue_message(instance, message):
        schedule_turn(instance)


def _run_scheduled_turn(instance: str) -> None:
    request_priority.yield_to_requests()
    with _lock:
        _scheduled.discard(instance)  # before reading: what is posted from now on asks again
    retry_in_background(partial(_process_mailbox, instance))


@after_fork
def _reset_after_fork() -> None:
    """The pool's threads are not in a forked process."""
    global _lock
    _lock = threading.Lock()
    _scheduled.clear()
