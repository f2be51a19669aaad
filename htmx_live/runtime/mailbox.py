"""Mailboxes: letters are posted to instances, and the pool of turns looks after those that nobody else reads."""

import threading
from collections.abc import Callable
from functools import partial

from htmx_live.core.concurrency import after_fork, courtesy
from htmx_live.runtime.inbox_messages import Mail, fold_of, write_mail
from htmx_live.runtime.services import keep_trying, parts

__all__ = ["give_drain", "look_after", "post", "post_and_schedule"]


_scheduled: set[str] = set()  # instances that the pool will look after
_lock = threading.Lock()
_drain: Callable[[str], None]


def give_drain(drain: Callable[[str], None]) -> Callable[[str], None]:
    """Say how a mailbox is emptied; decorates what does it, in the module that dispatches events, which is above."""
    global _drain
    _drain = drain
    return drain


def post(instance: str, mail: Mail) -> int:
    """Put a letter into the mailbox; how many wait there, 0 when the instance is gone."""
    return parts().store.post(instance, write_mail(mail), fold=fold_of(mail))


def look_after(instance: str) -> None:
    """Have the pool of turns drain a mailbox; once, however often it is asked before it does."""
    with _lock:
        if instance in _scheduled:
            return
        _scheduled.add(instance)
    parts().turns.submit(partial(_drain_scheduled, instance))


def post_and_schedule(instance: str, mail: Mail) -> None:
    """Put a letter into the mailbox and have the pool of turns read it, without running a turn on this thread."""
    if post(instance, mail):
        look_after(instance)


def _drain_scheduled(instance: str) -> None:
    courtesy.give_way()
    with _lock:
        _scheduled.discard(instance)  # before reading: what is posted from now on asks again
    keep_trying(partial(_drain, instance))


@after_fork
def _forget() -> None:
    """The pool's threads are not in a forked process."""
    global _lock
    _lock = threading.Lock()
    _scheduled.clear()
