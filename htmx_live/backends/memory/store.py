"""``MemoryStore``: records in this process, for a site that runs as one process.

One short mutex guards all tables; nobody waits while holding it.  A lease has no time limit, for its holder cannot
die without the process: it is handed from turn to turn, first come, first served.

Subscriptions: the channels that pages listen on beside those of their instances, in a bounded table.

Used under its owner's lock.  A browser says when it shows a page, never when it has closed one: what was not heard of
for long goes, and beyond the cap what was heard of longest ago.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice

from htmx_live.backends.base import Lease, LoadedRecord
from htmx_live.backends.memory.locks import Deadlines, NamedLocks
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import TooManyWaiting
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import random_id

__all__ = ["MAX_CHANNELS_PER_PAGE", "MemoryStore", "PageSubscriptions"]


MAX_CHANNELS_PER_PAGE = 256  # a page that htmx keeps for hours has shown many; those that it shows now are the newest


@dataclass(slots=True)
class _PageChannels:
    last_seen: float
    channels: dict[str, None] = field(default_factory=dict)  # an ordered set


class PageSubscriptions:
    """``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pages: OrderedDict[str, _PageChannels] = OrderedDict()  # heard of longest ago first

    def add(self, page: str, channel: str) -> None:
        channels = self._pages.setdefault(page, _PageChannels(self._clock())).channels
        channels.pop(channel, None)
        channels[channel] = None
        if len(channels) > MAX_CHANNELS_PER_PAGE:
            del channels[next(iter(channels))]
        self.touch(page)
        self.sweep()

    def channels(self, page: str) -> tuple[str, ...]:
        known = self._pages.get(page)
        return tuple(known.channels) if known else ()

    def touch(self, page: str) -> None:
        """The page is shown; harmless when it has subscribed to nothing."""
        if page in self._pages:
            self._pages[page].last_seen = self._clock()
            self._pages.move_to_end(page)

    def sweep(self) -> None:
        """Drop the pages that have not been heard of for long."""
        limits, now = settings(), self._clock()
        while self._pages:
            page, oldest = next(iter(self._pages.items()))
            if len(self._pages) <= limits.MAX_RECORDS and now <= oldest.last_seen + limits.HIDDEN_TTL:
                return
            del self._pages[page]


_SWEEP_INTERVAL = 5.0  # seconds between two looks for expired records and pages
_PRUNE_VIEWERS_AT = 64  # of a shared instance; with more, and with twice those that stayed, it is seen who is gone
_SWEEP_SIZE = 1000  # records and pages looked at each time, so that no request pays for all


@dataclass(slots=True)
class _Waiter:
    token: str
    acquired: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _LeaseQueue:
    """The lease of one instance: who holds it, and who waits."""

    holder: str
    waiters: deque[_Waiter] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _QueuedMessage:
    number: int
    text: str
    coalesce_key: str


@dataclass(slots=True)
class _Entry:
    record: Record
    used_at: float
    viewers: dict[str, None] = field(default_factory=dict)  # pages that show it, beside those in the record
    prune_viewers_at: int = _PRUNE_VIEWERS_AT  # with more viewers than these it is time to look who is gone
    messages: deque[_QueuedMessage] = field(default_factory=deque)
    last_message_number: int = 0  # letters so far


@dataclass(slots=True)
class _Page:
    last_seen: float  # when the page was made, or last said that it is shown
    instances: dict[str, None] = field(default_factory=dict)  # an ordered set
    present_until: float = 0.0
    retained_until: float = 0.0


class MemoryStore(NamedLocks, Deadlines):
    """See ``htmx_live.backends.base.Store``; ``clock`` gives seconds that never run backwards."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        NamedLocks.__init__(self, clock)
        Deadlines.__init__(self, clock)
        self.epoch = random_id()[:8]
        self._clock = clock
        self._mutex = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._instances_by_owner: dict[str, OrderedDict[str, None]] = {}
        self._instances_by_view: dict[tuple[str, str], dict[str, None]] = {}  # by view, and by view and user
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._subscriptions = PageSubscriptions(clock)
        self._lease_queues: dict[str, _LeaseQueue] = {}
        self._swept_at = clock()

    # Records

    def create(self, record: Record, *, once: bool = False) -> bool:
        limits = settings()
        with self._mutex:
            self._sweep()
            known = self._entries.get(record.instance)
            if once and known is not None and not self._is_expired(known):
                return False
            self._remove(record.instance)  # mounted again under its id
            mine = self._instances_by_owner.setdefault(record.owner.key, OrderedDict())
            # Visitors without a token are many, and only the cap of all is theirs.
            if record.owner != Owner() and len(mine) >= limits.MAX_INSTANCES_PER_OWNER:
                self._remove(next(iter(mine)))
            if len(self._entries) >= limits.MAX_RECORDS:
                self._remove(next(iter(self._entries)))
            self._instances_by_owner.setdefault(record.owner.key, OrderedDict())[record.instance] = None
            self._entries[record.instance] = _Entry(record=record, used_at=self._clock())
            for index in _view_keys(record):
                self._instances_by_view.setdefault(index, {})[record.instance] = None
            self._add_to_pages(record)
            return True

    def load(self, instance: str) -> LoadedRecord | None:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is None or self._is_expired(entry):
                return None
            self._touch(entry)
            return LoadedRecord(
                record=entry.record,
                messages=tuple(letter.text for letter in entry.messages),
                last_message_number=entry.last_message_number,
            )

    def save(self, record: Record, *, lease: Lease, ack: int = 0) -> bool:
        with self._mutex:
            entry = self._entries.get(record.instance)
            queue = self._lease_queues.get(record.instance)
            if entry is None or queue is None or queue.holder != lease.token or entry.record.rev != record.rev - 1:
                return False
            if entry.record.pages != record.pages:
                self._add_to_pages(record)
                self._remove_from_pages(record.instance, set(entry.record.pages) - set(record.pages))
            entry.record = record
            while entry.messages and entry.messages[0].number <= ack:
                entry.messages.popleft()
            self._touch(entry)
            return True

    def delete(self, instance: str) -> None:
        with self._mutex:
            self._remove(instance)

    def enqueue(self, instance: str, message: str, *, coalesce_key: str = "") -> int:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is None or self._is_expired(entry):
                return 0
            if coalesce_key and entry.messages and entry.messages[-1].coalesce_key == coalesce_key:
                entry.messages.pop()
            # A new number, also in the place of another: a turn that runs may have read that one already.
            entry.last_message_number += 1
            entry.messages.append(_QueuedMessage(entry.last_message_number, message, coalesce_key))
            return len(entry.messages)

    def find_by_view(self, view: str, *, with_state: bool = True, user: str = "") -> tuple[Record, ...]:
        with self._mutex:
            entries = [self._entries[instance] for instance in self._instances_by_view.get((view, user), ())]
            ttl = settings().STATE_TTL
            return tuple(entry.record for entry in entries if not self._is_expired(entry, ttl=ttl))

    def count(self, owner: Owner) -> int:
        with self._mutex:
            return len(self._instances_by_owner.get(owner.key, ()))

    # Leases

    def acquire(self, instance: str, *, wait: float, max_waiting: int | None = None) -> Lease | None:
        waiter = _Waiter(random_id())
        with self._mutex:
            queue = self._lease_queues.get(instance)
            if queue is None:
                self._lease_queues[instance] = _LeaseQueue(holder=waiter.token)
                return Lease(instance=instance, token=waiter.token)
            if wait <= 0:
                return None
            if max_waiting is not None and len(queue.waiters) >= max_waiting:
                raise TooManyWaiting(instance, max_waiting)
            queue.waiters.append(waiter)
        if not waiter.acquired.wait(wait):
            with self._mutex:
                if not waiter.acquired.is_set():  # it may have been granted in between
                    queue.waiters.remove(waiter)
                    return None
        return Lease(instance=instance, token=waiter.token)

    def release(self, lease: Lease) -> bool:
        with self._mutex:
            queue = self._lease_queues.get(lease.instance)
            if queue is None or queue.holder != lease.token:
                return False
            if queue.waiters:
                next_waiter = queue.waiters.popleft()
                queue.holder = next_waiter.token
                next_waiter.acquired.set()
                return False
            del self._lease_queues[lease.instance]
            entry = self._entries.get(lease.instance)
            return entry is not None and bool(entry.messages)

    # Pages

    def touch_page(self, page: str, *, present_for: float, retain_for: float) -> None:
        with self._mutex:
            self._subscriptions.touch(page)
            shown = self._pages.get(page)
            if shown is None:
                return
            now = shown.last_seen = self._clock()
            shown.present_until = now + present_for
            shown.retained_until = max(shown.retained_until, now + retain_for)

    def is_viewed(self, instance: str) -> bool:
        with self._mutex:
            entry, now = self._entries.get(instance), self._clock()
            # Who came last is most likely to be there still.
            pages = chain(entry.record.pages, reversed(entry.viewers)) if entry else ()
            return any(self._pages[page].present_until > now for page in pages if page in self._pages)

    def add_viewer(self, page: str, instance: str) -> None:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is not None:
                entry.viewers[page] = None
                self._get_or_add_page(page).instances[instance] = None
                if len(entry.viewers) > entry.prune_viewers_at:
                    self._prune_viewers(entry)

    def _prune_viewers(self, entry: _Entry) -> None:
        """Drop those whose grants have expired, and too many: a page that is closed says so to nobody.

        One not heard of for hours may be on a machine that sleeps, and would miss all that comes when it wakes.
        """
        limits, now = settings(), self._clock()
        heard = {page: self._pages[page].last_seen for page in entry.viewers if page in self._pages}
        newest = sorted(heard, key=heard.__getitem__)[-limits.MAX_RECORDS :]
        kept = dict.fromkeys(page for page in newest if heard[page] + limits.GRANT_MAX_AGE >= now)
        self._remove_from_pages(entry.record.instance, entry.viewers.keys() - kept.keys())
        entry.viewers, entry.prune_viewers_at = kept, max(_PRUNE_VIEWERS_AT, 2 * len(kept))

    def instances_on(self, page: str) -> tuple[str, ...]:
        with self._mutex:
            shown = self._pages.get(page)
            return tuple(shown.instances) if shown else ()

    def add_subscription(self, page: str, channel: str) -> None:
        with self._mutex:
            self._subscriptions.add(page, channel)

    def subscribed_channels(self, page: str) -> tuple[str, ...]:
        with self._mutex:
            return self._subscriptions.channels(page)

    def sweep(self) -> None:
        """Drop what has expired, also while nothing new comes.  Called every few seconds."""
        with self._mutex:
            self._sweep()

    # Below, the mutex is held.

    def _touch(self, entry: _Entry) -> None:
        entry.used_at = self._clock()
        self._entries.move_to_end(entry.record.instance)
        self._instances_by_owner[entry.record.owner.key].move_to_end(entry.record.instance)

    def _is_expired(self, entry: _Entry, *, ttl: float | None = None) -> bool:
        now = self._clock()
        if entry.record.jobs or now <= entry.used_at + (settings().STATE_TTL if ttl is None else ttl):
            return False
        pages = [self._pages.get(page) for page in {*entry.record.pages, *entry.viewers}]
        return not any(page and max(page.present_until, page.retained_until) > now for page in pages)

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept_at < _SWEEP_INTERVAL:
            return
        self._swept_at = now
        for entry in list(islice(self._entries.values(), _SWEEP_SIZE)):
            if self._is_expired(entry):
                self._remove(entry.record.instance)
            elif now > entry.used_at + settings().STATE_TTL:
                self._entries.move_to_end(entry.record.instance)  # kept by its page: look at others first next time

        for page, shown in list(islice(self._pages.items(), _SWEEP_SIZE)):
            self._pages.move_to_end(page)  # look at others first next time
            if self._is_page_expired(shown):
                self._remove_page(page, shown)
        self._subscriptions.sweep()

    def _is_page_expired(self, page: _Page) -> bool:
        """Whether a page was closed long ago, or was never opened by a browser that runs the script."""
        limits = settings()
        silence = limits.HIDDEN_TTL if page.retained_until else limits.STATE_TTL
        return self._clock() > max(page.last_seen + silence, page.present_until, page.retained_until)

    def _remove_page(self, page: str, shown: _Page) -> None:
        """Shared instances lose it as a viewer; others name it in their record, which expires by itself."""
        for instance in list(shown.instances):
            entry = self._entries[instance]
            entry.viewers.pop(page, None)
            if page not in entry.record.pages:
                self._remove_from_pages(instance, [page])

    def _remove(self, instance: str) -> None:
        entry = self._entries.pop(instance, None)
        if entry is None:
            return
        mine = self._instances_by_owner[entry.record.owner.key]
        del mine[instance]
        if not mine:
            del self._instances_by_owner[entry.record.owner.key]
        for index in _view_keys(entry.record):
            del self._instances_by_view[index][instance]
            if not self._instances_by_view[index]:
                del self._instances_by_view[index]
        self._remove_from_pages(instance, {*entry.record.pages, *entry.viewers})

    def _add_to_pages(self, record: Record) -> None:
        for page in record.pages:
            self._get_or_add_page(page).instances[record.instance] = None

    def _get_or_add_page(self, page: str) -> _Page:
        return self._pages.setdefault(page, _Page(self._clock()))

    def _remove_from_pages(self, instance: str, pages: Iterable[str]) -> None:
        for page in pages:
            shown = self._pages.get(page)
            if shown:
                shown.instances.pop(instance, None)
                if not shown.instances:
                    del self._pages[page]


def _view_keys(record: Record) -> set[tuple[str, str]]:
    """Where a view's records are found: among all of them, and among those of their user."""
    return {(record.view, ""), (record.view, record.owner.user)}
