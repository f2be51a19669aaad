"""Showing: a session's cards are drawn and published to the pages that show them.

    changed ──▶ resting? ──▶ at its time          a session is published at most every ``FRAME`` seconds by all
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
from htmx_live.core.fragments import Fragment, join
from htmx_live.core.signing import random_id
from htmx_live.core.text import log_unavailable
from htmx_live.events.context import current_rendering
from htmx_live.progress.cards import Card, draw, draw_list
from htmx_live.progress.model import Kept, ProgressStatus, listed_under, seen
from htmx_live.progress.store import keeping
from htmx_live.runtime.services import parts

__all__ = [
    "FRAME",
    "changed",
    "event_channel",
    "follow",
    "follow_events",
    "in_background",
    "list_channel",
    "listed",
    "moved",
    "rest_no_more",
    "tell",
]


logger = logging.getLogger("htmx_live.progress")

Follower = Callable[[str], None]

_followers: list[Follower] = []


def follow(call: Follower) -> Follower:
    """Have ``call`` told of every change that this process makes, by the session's id.

    It comes on the thread of whoever made the change, whom it must not keep waiting.
    """
    if call not in _followers:
        _followers.append(call)
    return call


def tell(session: str) -> None:
    """Never raises."""
    for call in _followers:
        try:
            call(session)
        except Exception:  # a boundary: the work goes on whoever cannot follow it
            logger.exception("The progress of %s could not be followed", session)


FRAME = 0.1  # seconds between two publications of one session

_EVENTS = "events"  # among the cards of a session: an event stream follows it
_LIST_OF = "list:"  # before an owner, where sessions and lists are treated alike
_LIST_FRAME = 0.5
_PUBLISHING = 2.0  # seconds after which a process that publishes counts as dead
_BUSY = 0.02
_AWAY = 1.0
_LINGER = 10.0  # seconds for which what has ended stays in the lists
_FEW = 100  # sessions; with more, and with twice those that stayed, sessions that have not changed for long go

_lock = threading.Lock()
_resting: dict[str, float] = {}  # session -> until when
_many = _FEW
_waiting: set[str] = set()  # sessions that are published when their rest is over
_pool = DaemonPool("htmx-live-progress", lambda: 2)


def changed(session: str, *, at_once: bool = False) -> None:
    """Show what the session is now, at once or when its rest is over; never raises."""
    if not session.startswith(_LIST_OF):
        tell(session)
    now = parts().timer()
    with _lock:
        until = _resting.get(session, now)
        if not at_once and (session in _waiting or now < until):
            if session in _waiting:
                return
            _waiting.add(session)
        else:
            _rest(session, now)
            until = now
    if until > now:
        _later(session, until)
    else:
        _publish(session, at_once=at_once)


def moved(session: str, *, within: float) -> None:
    """Show what only time has changed, unless this process has shown the session within so many seconds."""
    with _lock:
        is_fresh = _resting.get(session, -inf) - FRAME + within > parts().timer()
    if not is_fresh:
        changed(session)


def in_background(call: Callable[[], None]) -> None:
    """Make the call on a thread of progress, or where a test makes its turns."""
    turns: Pool = parts().turns
    (_pool if isinstance(turns, DaemonPool) else turns).submit(call)


def list_channel(owner: str, key: str) -> str:
    """``owner`` is the word for an owner's list."""
    return progress_channel(f"list.{owner}.{key}")


def event_channel(session: str) -> str:
    """What wakes the event streams of a session when it has changed."""
    return progress_channel(f"events.{session}")


def follow_events(session: str) -> None:
    """Publish on the session's event channel from now on, until the session goes."""
    keeping().show(session, _EVENTS, "")
    parts().watcher.start()


def listed(owner: str) -> list[Kept]:
    """What a list shows of an owner's work: what runs or waits to run, and what has just ended; the newest first."""
    return [kept for kept in keeping().of_owner(owner) if _is_listed(kept)]


def _is_listed(kept: Kept) -> bool:
    here = seen(kept, is_settled=True)
    if not all(status.is_ended for status in here.statuses.values()):
        return (
            here.status is not ProgressStatus.PENDING or kept.now - kept.session.created < _LINGER or _was_begun(kept)
        )
    return kept.now - max(row.since for row in kept.rows.values()) < _LINGER


def _was_begun(kept: Kept) -> bool:
    return any(row.status is not ProgressStatus.PENDING for row in kept.rows.values())


def _rest(session: str, now: float) -> None:
    """Under the lock."""
    global _many
    _resting[session] = now + (_LIST_FRAME if session.startswith(_LIST_OF) else FRAME)
    if len(_resting) > _many:
        for over in [one for one, until in _resting.items() if until + _LINGER <= now]:
            del _resting[over]
        _many = max(_FEW, 2 * len(_resting))


def _later(session: str, when: float) -> None:
    parts().timer.at(when, lambda: in_background(partial(_publish_after_rest, session)))


def _publish_after_rest(session: str) -> None:
    with _lock:
        _waiting.discard(session)
        _rest(session, parts().timer())
    _publish(session, at_once=False)


def _again(session: str, *, within: float) -> None:
    """Try once more soon, unless that is arranged already."""
    with _lock:
        if session in _waiting:
            return
        _waiting.add(session)
    _later(session, parts().timer() + within)


def _publish(session: str, *, at_once: bool) -> None:
    try:
        if not at_once and not parts().store.hold(f"progress-frame:{session}", random_id(), ttl=FRAME * 0.9):
            _again(session, within=FRAME)  # another process has just published it
        elif not _publish_alone(session, patience=1.0 if at_once else 0.0):
            _again(session, within=FRAME)
    except StoreUnavailable as error:
        message = "The progress of %s cannot be shown and will be tried again"
        log_unavailable(logger, error, "publications of progress", message, session)
        _again(session, within=_AWAY)
    except Exception:  # a boundary: what goes wrong with a picture must not end the work that it shows
        logger.exception("The progress of %s could not be drawn", session)


def _publish_alone(session: str, *, patience: float) -> bool:
    """Publish while no other process does; False when one still did after ``patience`` seconds."""
    store, name, holder = parts().store, f"progress-drawn:{session}", random_id()
    give_up = time.monotonic() + patience
    while not store.hold(name, holder, ttl=_PUBLISHING):
        if time.monotonic() >= give_up:
            return False
        time.sleep(_BUSY)
    try:
        began = time.monotonic()
        _send(session)
        if time.monotonic() - began > _PUBLISHING:  # somebody newer may have come in between
            _send(session)
    finally:
        store.let_go(name, holder)
    return True


def _send(session: str) -> None:
    if session.startswith(_LIST_OF):
        with _apart():
            _send_list(session.removeprefix(_LIST_OF))
        return
    kept = keeping().load(session)
    if kept is None:
        return
    with _apart():
        for key, text in kept.shown.items():
            if key == _EVENTS:
                parts().bus.publish([event_channel(session)], session, "")
                continue
            card = Card.from_json(text)
            fragment = Fragment(target=card.element(session), html=draw(kept, card))
            parts().bus.publish([card.channel(session)], fragment.target, str(join([fragment])))
    _tell_list(kept, at_once=all(row.status.is_ended for row in kept.rows.values()))


@contextmanager
def _apart() -> Iterator[None]:
    """What is drawn here belongs to no live view, though one may be at work around it."""
    outer = current_rendering.set(None)
    try:
        yield
    finally:
        current_rendering.reset(outer)


def _tell_list(kept: Kept, *, at_once: bool) -> None:
    """The owner's lists have a rest of their own: a hundred sessions at once do not draw them a hundred times."""
    owner = listed_under(kept.session.owner)
    if not owner or not keeping().shown_lists(owner):
        return
    changed(_LIST_OF + owner, at_once=at_once)
    last = max(row.since for row in kept.rows.values())
    if all(row.status.is_ended for row in kept.rows.values()) and kept.now - last < _LINGER:
        # It leaves the lists; what changes until then does not wait for that.
        leave = partial(in_background, partial(changed, _LIST_OF + owner))
        parts().timer.at(parts().timer() + _LINGER + FRAME, leave)


def _send_list(owner: str) -> None:
    shown = keeping().shown_lists(owner)
    sessions = listed(owner) if shown else []
    for key, text in shown.items():
        card = Card.from_json(text)
        fragment = Fragment(target=card.list_element, html=draw_list(sessions, card))
        parts().bus.publish([list_channel(owner, key)], fragment.target, str(join([fragment])))


def rest_no_more() -> None:
    """Nothing was shown yet; also for tests, whose timers go with them."""
    _resting.clear()
    _waiting.clear()


@after_fork
def _after_fork() -> None:
    global _lock, _pool
    _lock, _pool = threading.Lock(), DaemonPool("htmx-live-progress", lambda: 2)
    rest_no_more()
