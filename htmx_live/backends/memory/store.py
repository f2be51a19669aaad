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

from htmx_live.backends.base import Lease, Loaded
from htmx_live.backends.memory.locks import Deadlines, Holds
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import TooManyWaiting
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import random_id

__all__ = ["CHANNELS_PER_PAGE", "MemoryStore", "Subscriptions"]


CHANNELS_PER_PAGE = 256  # a page that htmx keeps for hours has shown many; those that it shows now are the newest


@dataclass(slots=True)
class _Subscriber:
    heard: float
    channels: dict[str, None] = field(default_factory=dict)  # an ordered set


class Subscriptions:
    """``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pages: OrderedDict[str, _Subscriber] = OrderedDict()  # heard of longest ago first

    def add(self, page: str, channel: str) -> None:
        channels = self._pages.setdefault(page, _Subscriber(self._clock())).channels
        channels.pop(channel, None)
        channels[channel] = None
        if len(channels) > CHANNELS_PER_PAGE:
            del channels[next(iter(channels))]
        self.hear(page)
        self.sweep()

    def of(self, page: str) -> tuple[str, ...]:
        known = self._pages.get(page)
        return tuple(known.channels) if known else ()

    def hear(self, page: str) -> None:
        """The page is shown; harmless when it has subscribed to nothing."""
        if page in self._pages:
            self._pages[page].heard = self._clock()
            self._pages.move_to_end(page)

    def sweep(self) -> None:
        """Drop the pages that have not been heard of for long."""
        limits, now = settings(), self._clock()
        while self._pages:
            page, oldest = next(iter(self._pages.items()))
            if len(self._pages) <= limits.MAX_RECORDS and now <= oldest.heard + limits.HIDDEN_TTL:
                return
            del self._pages[page]


_SWEEP_INTERVAL = 5.0  # seconds between two looks for expired records and pages
_MANY_VIEWERS = 64  # of a shared instance; with more, and with twice those that stayed, it is seen who is gone
_SWEEP_SIZE = 1000  # records and pages looked at each time, so that no request pays for all


@dataclass(slots=True)
class _Waiter:
    token: str
    granted: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Queue:
    """The lease of one instance: who holds it, and who waits."""

    holder: str
    waiters: deque[_Waiter] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Letter:
    number: int
    text: str
    fold: str


@dataclass(slots=True)
class _Entry:
    record: Record
    used: float
    viewers: dict[str, None] = field(default_factory=dict)  # pages that show it, beside those in the record
    many: int = _MANY_VIEWERS  # with more viewers than these it is time to look who is gone
    mail: deque[_Letter] = field(default_factory=deque)
    posted: int = 0  # letters so far


@dataclass(slots=True)
class _Page:
    heard: float  # when the page was made, or last said that it is shown
    members: dict[str, None] = field(default_factory=dict)  # an ordered set
    present_until: float = 0.0
    kept_until: float = 0.0


class MemoryStore(Holds, Deadlines):
    """See ``htmx_live.backends.base.Store``; ``clock`` gives seconds that never run backwards."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        Holds.__init__(self, clock)
        Deadlines.__init__(self, clock)
        self.epoch = random_id()[:8]
        self._clock = clock
        self._mutex = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._owners: dict[str, OrderedDict[str, None]] = {}
        self._views: dict[tuple[str, str], dict[str, None]] = {}  # by view, and by view and user
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._subscriptions = Subscriptions(clock)
        self._queues: dict[str, _Queue] = {}
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
            mine = self._owners.setdefault(record.owner.key, OrderedDict())
            # Visitors without a token are many, and only the cap of all is theirs.
            if record.owner != Owner() and len(mine) >= limits.MAX_INSTANCES_PER_OWNER:
                self._remove(next(iter(mine)))
            if len(self._entries) >= limits.MAX_RECORDS:
                self._remove(next(iter(self._entries)))
            self._owners.setdefault(record.owner.key, OrderedDict())[record.instance] = None
            self._entries[record.instance] = _Entry(record=record, used=self._clock())
            for index in _view_indexes(record):
                self._views.setdefault(index, {})[record.instance] = None
            self._link(record)
            return True

    def load(self, instance: str) -> Loaded | None:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is None or self._is_expired(entry):
                return None
            self._use(entry)
            return Loaded(record=entry.record, mail=tuple(letter.text for letter in entry.mail), mark=entry.posted)

    def save(self, record: Record, *, lease: Lease, taken: int = 0) -> bool:
        with self._mutex:
            entry = self._entries.get(record.instance)
            queue = self._queues.get(record.instance)
            if entry is None or queue is None or queue.holder != lease.token or entry.record.rev != record.rev - 1:
                return False
            if entry.record.pages != record.pages:
                self._link(record)
                self._unlink(record.instance, set(entry.record.pages) - set(record.pages))
            entry.record = record
            while entry.mail and entry.mail[0].number <= taken:
                entry.mail.popleft()
            self._use(entry)
            return True

    def delete(self, instance: str) -> None:
        with self._mutex:
            self._remove(instance)

    def post(self, instance: str, letter: str, *, fold: str = "") -> int:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is None or self._is_expired(entry):
                return 0
            if fold and entry.mail and entry.mail[-1].fold == fold:
                entry.mail.pop()
            # A new number, also in the place of another: a turn that runs may have read that one already.
            entry.posted += 1
            entry.mail.append(_Letter(entry.posted, letter, fold))
            return len(entry.mail)

    def of_view(self, view: str, *, state: bool = True, user: str = "") -> tuple[Record, ...]:
        with self._mutex:
            entries = [self._entries[instance] for instance in self._views.get((view, user), ())]
            ttl = settings().STATE_TTL
            return tuple(entry.record for entry in entries if not self._is_expired(entry, ttl=ttl))

    def count(self, owner: Owner) -> int:
        with self._mutex:
            return len(self._owners.get(owner.key, ()))

    # Leases

    def acquire(self, instance: str, *, wait: float, max_waiting: int | None = None) -> Lease | None:
        waiter = _Waiter(random_id())
        with self._mutex:
            queue = self._queues.get(instance)
            if queue is None:
                self._queues[instance] = _Queue(holder=waiter.token)
                return Lease(instance=instance, token=waiter.token)
            if wait <= 0:
                return None
            if max_waiting is not None and len(queue.waiters) >= max_waiting:
                raise TooManyWaiting(instance, max_waiting)
            queue.waiters.append(waiter)
        if not waiter.granted.wait(wait):
            with self._mutex:
                if not waiter.granted.is_set():  # it may have been granted in between
                    queue.waiters.remove(waiter)
                    return None
        return Lease(instance=instance, token=waiter.token)

    def release(self, lease: Lease) -> bool:
        with self._mutex:
            queue = self._queues.get(lease.instance)
            if queue is None or queue.holder != lease.token:
                return False
            if queue.waiters:
                heir = queue.waiters.popleft()
                queue.holder = heir.token
                heir.granted.set()
                return False
            del self._queues[lease.instance]
            entry = self._entries.get(lease.instance)
            return entry is not None and bool(entry.mail)

    # Pages

    def show(self, page: str, *, present: float, kept: float) -> None:
        with self._mutex:
            self._subscriptions.hear(page)
            shown = self._pages.get(page)
            if shown is None:
                return
            now = shown.heard = self._clock()
            shown.present_until = now + present
            shown.kept_until = max(shown.kept_until, now + kept)

    def is_shown(self, instance: str) -> bool:
        with self._mutex:
            entry, now = self._entries.get(instance), self._clock()
            # Who came last is most likely to be there still.
            pages = chain(entry.record.pages, reversed(entry.viewers)) if entry else ()
            return any(self._pages[page].present_until > now for page in pages if page in self._pages)

    def link(self, page: str, instance: str) -> None:
        with self._mutex:
            entry = self._entries.get(instance)
            if entry is not None:
                entry.viewers[page] = None
                self._page(page).members[instance] = None
                if len(entry.viewers) > entry.many:
                    self._forget_viewers(entry)

    def _forget_viewers(self, entry: _Entry) -> None:
        """Drop those whose grants have expired, and too many: a page that is closed says so to nobody.

        One not heard of for hours may be on a machine that sleeps, and would miss all that comes when it wakes.
        """
        limits, now = settings(), self._clock()
        heard = {page: self._pages[page].heard for page in entry.viewers if page in self._pages}
        newest = sorted(heard, key=heard.__getitem__)[-limits.MAX_RECORDS :]
        kept = dict.fromkeys(page for page in newest if heard[page] + limits.GRANT_MAX_AGE >= now)
        self._unlink(entry.record.instance, entry.viewers.keys() - kept.keys())
        entry.viewers, entry.many = kept, max(_MANY_VIEWERS, 2 * len(kept))

    def members(self, page: str) -> tuple[str, ...]:
        with self._mutex:
            shown = self._pages.get(page)
            return tuple(shown.members) if shown else ()

    def subscribe(self, page: str, channel: str) -> None:
        with self._mutex:
            self._subscriptions.add(page, channel)

    def channels(self, page: str) -> tuple[str, ...]:
        with self._mutex:
            return self._subscriptions.of(page)

    def sweep(self) -> None:
        """Drop what has expired, also while nothing new comes.  Called every few seconds."""
        with self._mutex:
            self._sweep()

    # Below, the mutex is held.

    def _use(self, entry: _Entry) -> None:
        entry.used = self._clock()
        self._entries.move_to_end(entry.record.instance)
        self._owners[entry.record.owner.key].move_to_end(entry.record.instance)

    def _is_expired(self, entry: _Entry, *, ttl: float | None = None) -> bool:
        now = self._clock()
        if entry.record.jobs or now <= entry.used + (settings().STATE_TTL if ttl is None else ttl):
            return False
        pages = [self._pages.get(page) for page in {*entry.record.pages, *entry.viewers}]
        return not any(page and max(page.present_until, page.kept_until) > now for page in pages)

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept_at < _SWEEP_INTERVAL:
            return
        self._swept_at = now
        for entry in list(islice(self._entries.values(), _SWEEP_SIZE)):
            if self._is_expired(entry):
                self._remove(entry.record.instance)
            elif now > entry.used + settings().STATE_TTL:
                self._entries.move_to_end(entry.record.instance)  # kept by its page: look at others first next time

        for page, shown in list(islice(self._pages.items(), _SWEEP_SIZE)):
            self._pages.move_to_end(page)  # look at others first next time
            if self._is_gone(shown):
                self._forget_page(page, shown)
        self._subscriptions.sweep()

    def _is_gone(self, page: _Page) -> bool:
        """Whether a page was closed long ago, or was never opened by a browser that runs the script."""
        limits = settings()
        silence = limits.HIDDEN_TTL if page.kept_until else limits.STATE_TTL
        return self._clock() > max(page.heard + silence, page.present_until, page.kept_until)

    def _forget_page(self, page: str, shown: _Page) -> None:
        """Shared instances lose it as a viewer; others name it in their record, which expires by itself."""
        for instance in list(shown.members):
            entry = self._entries[instance]
            entry.viewers.pop(page, None)
            if page not in entry.record.pages:
                self._unlink(instance, [page])

    def _remove(self, instance: str) -> None:
        entry = self._entries.pop(instance, None)
        if entry is None:
            return
        mine = self._owners[entry.record.owner.key]
        del mine[instance]
        if not mine:
            del self._owners[entry.record.owner.key]
        for index in _view_indexes(entry.record):
            del self._views[index][instance]
            if not self._views[index]:
                del self._views[index]
        self._unlink(instance, {*entry.record.pages, *entry.viewers})

    def _link(self, record: Record) -> None:
        for page in record.pages:
            self._page(page).members[record.instance] = None

    def _page(self, page: str) -> _Page:
        return self._pages.setdefault(page, _Page(self._clock()))

    def _unlink(self, instance: str, pages: Iterable[str]) -> None:
        for page in pages:
            shown = self._pages.get(page)
            if shown:
                shown.members.pop(instance, None)
                if not shown.members:
                    del self._pages[page]


def _view_indexes(record: Record) -> set[tuple[str, str]]:
    """Where a view's records are found: among all of them, and among those of their user."""
    return {(record.view, ""), (record.view, record.owner.user)}
