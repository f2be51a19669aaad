"""Showing: a session's cards are drawn and published to the pages that show them.

    changed ──▶ resting? ──▶ at its time          a session is published once in ``PUBLISH_INTERVAL`` seconds by all
       │                        │                 processes; its first and its last change always are
       ▼                        ▼
    publishing elsewhere? ──▶ a little later      one at a time, so that no older drawing follows a newer one
       │
       ▼
    load ▸ draw each card that is on a page ▸ publish

An end does not rest, nor does a new start.  What nobody shows is not drawn.

Followers: who else wants to know of every change of a session, such as an app that keeps them in the database.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf

from htmx_live.backends.wire import progress_channel
from htmx_live.core.concurrency import DaemonPool, Pool, after_fork
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.fragments import Fragment, join_fragments
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.events.context import current_view
from htmx_live.progress.cards import Card, render_card, render_session_list
from htmx_live.progress.model import ProgressStatus, SessionSnapshot, owner_key, summarize
from htmx_live.progress.store import progress_store
from htmx_live.runtime.services import services

__all__ = [
    "PUBLISH_INTERVAL",
    "connect_progress_changed",
    "enable_event_channel",
    "event_channel",
    "find_listed",
    "list_channel",
    "refresh",
    "reset_publisher",
    "run_in_background",
    "schedule_publish",
    "send_progress_changed",
]


logger = logging.getLogger("htmx_live.progress")

ChangeReceiver = Callable[[str], None]

_change_receivers: list[ChangeReceiver] = []


def connect_progress_changed(receiver: ChangeReceiver) -> ChangeReceiver:
    """Have ``receiver`` told of every change that this process makes, by the session's id.

    It comes on the thread of whoever made the change, whom it must not keep waiting.
    """
    if receiver not in _change_receivers:
        _change_receivers.append(receiver)
    return receiver


def send_progress_changed(session_id: str) -> None:
    """Never raises."""
    for receiver in _change_receivers:
        try:
            receiver(session_id)
        except Exception:  # a boundary: the work goes on whoever cannot follow it
            logger.exception("The progress of %s could not be followed", session_id)


PUBLISH_INTERVAL = 0.1  # seconds between two publications of one session

_EVENT_CARD = "events"  # among the cards of a session: an event stream follows it
_LIST_PREFIX = "list:"  # before an owner, where sessions and lists are treated alike
_LIST_PUBLISH_INTERVAL = 0.5
_LOCK_TTL = 2.0  # seconds after which a process that publishes counts as dead
_LOCK_POLL_INTERVAL = 0.02
_STORE_RETRY_DELAY = 1.0
_LISTED_AFTER_END = 10.0  # seconds for which what has ended stays in the lists
_MIN_PRUNE_SIZE = (
    100  # sessions; with more, and with twice those that stayed, sessions that have not changed for long go
)

_lock = threading.Lock()
_throttled_until: dict[str, float] = {}  # session -> until when
_prune_size = _MIN_PRUNE_SIZE
_scheduled: set[str] = set()  # sessions that are published when their rest is over
_pool = DaemonPool("htmx-live-progress", lambda: 2)


def schedule_publish(session_id: str, *, at_once: bool = False) -> None:
    """Show what the session is now, at once or when its rest is over; never raises."""
    if not session_id.startswith(_LIST_PREFIX):
        send_progress_changed(session_id)
    now = services().timer()
    with _lock:
        until = _throttled_until.get(session_id, now)
        if not at_once and (session_id in _scheduled or now < until):
            if session_id in _scheduled:
                return
            _scheduled.add(session_id)
        else:
            _throttle(session_id, now)
            until = now
    if until > now:
        _schedule_at(session_id, until)
    else:
        _publish(session_id, at_once=at_once)


def refresh(session_id: str, *, within: float) -> None:
    """Show what only time has changed, unless this process has shown the session within so many seconds."""
    with _lock:
        is_recent = _throttled_until.get(session_id, -inf) - PUBLISH_INTERVAL + within > services().timer()
    if not is_recent:
        schedule_publish(session_id)


def run_in_background(function: Callable[[], None]) -> None:
    """Make the call on a thread of progress, or where a test makes its turns."""
    turns: Pool = services().turn_pool
    (_pool if isinstance(turns, DaemonPool) else turns).submit(function)


def list_channel(owner: str, key: str) -> str:
    """``owner`` is the word for an owner's list."""
    return progress_channel(f"list.{owner}.{key}")


def event_channel(session_id: str) -> str:
    """What wakes the event streams of a session when it has changed."""
    return progress_channel(f"events.{session_id}")


def enable_event_channel(session_id: str) -> None:
    """Publish on the session's event channel from now on, until the session goes."""
    progress_store().add_card(session_id, _EVENT_CARD, "")
    services().deadline_monitor.start()


def find_listed(owner: str) -> list[SessionSnapshot]:
    """What a list shows of an owner's work: what runs or waits to run, and what has just ended; the newest first."""
    return [snapshot for snapshot in progress_store().find_by_owner(owner) if _is_listed(snapshot)]


def _is_listed(snapshot: SessionSnapshot) -> bool:
    summary = summarize(snapshot, is_settled=True)
    if not all(status.is_ended for status in summary.statuses.values()):
        return (
            summary.status is not ProgressStatus.PENDING
            or snapshot.now - snapshot.header.created < _LISTED_AFTER_END
            or _has_started(snapshot)
        )
    return snapshot.now - max(state.since for state in snapshot.states.values()) < _LISTED_AFTER_END


def _has_started(snapshot: SessionSnapshot) -> bool:
    return any(state.status is not ProgressStatus.PENDING for state in snapshot.states.values())


def _throttle(session_id: str, now: float) -> None:
    """Under the lock."""
    global _prune_size
    _throttled_until[session_id] = now + (
        _LIST_PUBLISH_INTERVAL if session_id.startswith(_LIST_PREFIX) else PUBLISH_INTERVAL
    )
    if len(_throttled_until) > _prune_size:
        for over in [one for one, until in _throttled_until.items() if until + _LISTED_AFTER_END <= now]:
            del _throttled_until[over]
        _prune_size = max(_MIN_PRUNE_SIZE, 2 * len(_throttled_until))


def _schedule_at(session_id: str, when: float) -> None:
    services().timer.call_at(when, lambda: run_in_background(partial(_publish_scheduled, session_id)))


def _publish_scheduled(session_id: str) -> None:
    with _lock:
        _scheduled.discard(session_id)
        _throttle(session_id, services().timer())
    _publish(session_id, at_once=False)


def _retry_publish(session_id: str, *, within: float) -> None:
    """Try once more soon, unless that is arranged already."""
    with _lock:
        if session_id in _scheduled:
            return
        _scheduled.add(session_id)
    _schedule_at(session_id, services().timer() + within)


def _publish(session_id: str, *, at_once: bool) -> None:
    try:
        if not at_once and not services().store.acquire_lock(
            f"progress-frame:{session_id}", random_id(), ttl=PUBLISH_INTERVAL * 0.9
        ):
            _retry_publish(session_id, within=PUBLISH_INTERVAL)  # another process has just published it
        elif not _publish_exclusively(session_id, timeout=1.0 if at_once else 0.0):
            _retry_publish(session_id, within=PUBLISH_INTERVAL)
    except StoreUnavailable as error:
        message = "The progress of %s cannot be shown and will be tried again"
        log_unavailable(logger, error, "publications of progress", message, session_id)
        _retry_publish(session_id, within=_STORE_RETRY_DELAY)
    except Exception:  # a boundary: what goes wrong with a picture must not end the work that it shows
        logger.exception("The progress of %s could not be drawn", session_id)


def _publish_exclusively(session_id: str, *, timeout: float) -> bool:
    """Publish while no other process does; False when one still did after ``timeout`` seconds."""
    store, name, holder = services().store, f"progress-drawn:{session_id}", random_id()
    give_up_at = time.monotonic() + timeout
    while not store.acquire_lock(name, holder, ttl=_LOCK_TTL):
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(_LOCK_POLL_INTERVAL)
    try:
        started_at = time.monotonic()
        _publish_cards(session_id)
        if time.monotonic() - started_at > _LOCK_TTL:  # somebody newer may have come in between
            _publish_cards(session_id)
    finally:
        store.release_lock(name, holder)
    return True


def _publish_cards(session_id: str) -> None:
    if session_id.startswith(_LIST_PREFIX):
        with _outside_of_views():
            _publish_lists(session_id.removeprefix(_LIST_PREFIX))
        return
    snapshot = progress_store().load(session_id)
    if snapshot is None:
        return
    with _outside_of_views():
        for key, text in snapshot.cards.items():
            if key == _EVENT_CARD:
                services().bus.publish([event_channel(session_id)], session_id, "")
                continue
            card = Card.from_json(text)
            fragment = Fragment(target=card.dom_id(session_id), html=render_card(snapshot, card))
            services().bus.publish([card.channel(session_id)], fragment.target, str(join_fragments([fragment])))
    _schedule_lists(snapshot, at_once=all(state.status.is_ended for state in snapshot.states.values()))


@contextmanager
def _outside_of_views() -> Iterator[None]:
    """What is drawn here belongs to no live view, though one may be at work around it."""
    outer = current_view.set(None)
    try:
        yield
    finally:
        current_view.reset(outer)


def _schedule_lists(snapshot: SessionSnapshot, *, at_once: bool) -> None:
    """The owner's lists have a rest of their own: a hundred sessions at once do not draw them a hundred times."""
    owner = owner_key(snapshot.header.owner)
    if not owner or not progress_store().load_list_cards(owner):
        return
    schedule_publish(_LIST_PREFIX + owner, at_once=at_once)
    last = max(state.since for state in snapshot.states.values())
    if all(state.status.is_ended for state in snapshot.states.values()) and snapshot.now - last < _LISTED_AFTER_END:
        # It leaves the lists; what changes until then does not wait for that.
        remove_from_lists = partial(run_in_background, partial(schedule_publish, _LIST_PREFIX + owner))
        services().timer.call_at(services().timer() + _LISTED_AFTER_END + PUBLISH_INTERVAL, remove_from_lists)


def _publish_lists(owner: str) -> None:
    shown = progress_store().load_list_cards(owner)
    sessions = find_listed(owner) if shown else []
    for key, text in shown.items():
        card = Card.from_json(text)
        fragment = Fragment(target=card.list_dom_id, html=render_session_list(sessions, card))
        services().bus.publish([list_channel(owner, key)], fragment.target, str(join_fragments([fragment])))


def reset_publisher() -> None:
    """Nothing was shown yet; also for tests, whose timers go with them."""
    _throttled_until.clear()
    _scheduled.clear()


@after_fork
def _after_fork() -> None:
    global _lock, _pool
    _lock, _pool = threading.Lock(), DaemonPool("htmx-live-progress", lambda: 2)
    reset_publisher()
