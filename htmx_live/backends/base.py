"""The store port: where records live between turns.

A store knows keys and JSON, not views.  Beside each record it keeps a mailbox of texts, and a lease that one turn
holds at a time.  All durations are seconds on the store's own clock.

The receiver port: where a bus hands live messages over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from htmx_live.backends.wire import BusMessage
from htmx_live.core.records import Owner, Record

__all__ = ["Lease", "LoadedRecord", "Store", "Subscriber"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to the next turn of one instance; ``token`` proves it."""

    instance: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRecord:
    """A record and what waits in its mailbox, oldest first, read in one step.

    ``mark`` is the number of the last letter; letters of one mailbox are numbered as they arrive.
    """

    record: Record
    messages: tuple[str, ...]
    last_message_number: int = 0


class Store(Protocol):
    """Every method may raise ``StoreUnavailable``.

    ``epoch`` changes when the store has lost its records.
    """

    @property
    def epoch(self) -> str: ...

    def create(self, record: Record, *, once: bool = False) -> bool:
        """Add a record, in the place of one with its id; with ``once`` only if there is none, otherwise False.

        Beyond the cap of its owner the one used longest ago goes; a store in memory has a cap of all records, too.
        """

    def load(self, instance: str) -> LoadedRecord | None:
        """The record and its mail, or None when it is gone; counts as use."""

    def save(self, record: Record, *, lease: Lease, ack: int = 0) -> bool:
        """Replace the record and remove its mail up to the mark ``taken``, in one step.

        False, and nothing is changed, when the lease was lost, the record is gone or its rev is not ``record.rev - 1``.
        """

    def delete(self, instance: str) -> None:
        """Remove a record with its mail; harmless when it is gone."""

    def enqueue(self, instance: str, message: str, *, coalesce_key: str = "") -> int:
        """Add to the mailbox; how many letters wait then, 0 when the record is gone.

        With ``fold``, a last letter that was posted with the same word is replaced: the newer one says all.
        """

    def find_by_view(self, view: str, *, with_state: bool = True, user: str = "") -> Iterable[Record]:
        """The records of a view, by its dotted path; does not count as use.

        With ``user`` (a pk as text) only those of this user, without reading the others.  Without ``state`` a store may
        leave the state out, and be quicker.
        """

    def acquire(self, instance: str, *, wait: float, max_waiting: int | None = None) -> Lease | None:
        """The lease, waiting up to ``wait`` for it, first come, first served; None when it took longer.

        Raises ``TooManyWaiting`` at once when it would have to wait and ``max_waiting`` others do already.
        Background turns seldom wait (0): who holds the lease learns of their mail when releasing it.
        """

    def release(self, lease: Lease) -> bool:
        """Hand the lease to whoever waits.  True when mail is left and nobody waits: somebody should look after it."""

    def touch_page(self, page: str, *, present_for: float, retain_for: float) -> None:
        """A page says that it is shown: present for so long, its records kept for so long beyond their TTL."""

    def is_viewed(self, instance: str) -> bool:
        """Whether somebody looks at a page that shows the instance, as far as ``show`` tells."""

    def add_viewer(self, page: str, instance: str) -> None:
        """From now on the page shows a shared instance, whose record names no pages."""

    def instances_on(self, page: str) -> Iterable[str]:
        """The ids of the instances that the page shows."""

    def add_subscription(self, page: str, channel: str) -> None:
        """From now on the page listens on this channel too; of very many the one that was subscribed longest ago goes.

        It lasts as long as the page says that it is shown, and ``HIDDEN_TTL`` beyond.  In memory, when there are too
        many pages, the one that said so longest ago loses its channels.
        """

    def subscribed_channels(self, page: str) -> Iterable[str]:
        """What the page has subscribed to."""

    def count(self, owner: Owner) -> int:
        """How many records an owner has."""

    def acquire_lock(self, name: str, holder: str, *, ttl: float) -> bool:
        """Take or renew a named lease for ``ttl`` seconds; whether ``holder`` has it now."""

    def release_lock(self, name: str, holder: str) -> None:
        """Give a named lease back before its time; harmless when somebody else has it."""

    def set_deadline(self, name: str, payload: str, *, within: float) -> None:
        """Somebody shall look at ``note``, unless the name is set again or cleared within so many seconds.

        A note is JSON, an object whose ``kind`` says who understands it.
        """

    def clear_deadline(self, name: str) -> bool:
        """Take a deadline back; whether it was there."""

    def pop_due(self, *, limit: int = 100) -> list[tuple[str, str]]:
        """Names and notes of deadlines whose time is over, the earliest first, each to one caller only.

        One that is not cleared or set again within 5 s comes up once more, for that caller may have died; a day after
        its time it is forgotten.
        """


class Subscriber(Protocol):
    """Called in the bus's order, from any thread, while the bus holds its lock: no method blocks or raises."""

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        """A message that was published to these channels, of which there is at least one."""

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None:
        """The open streams of a page listen on these channels too."""

    def close_streams(self, key: str) -> None:
        """End the streams that were opened with this hash of a session cookie."""

    def resync(self) -> None:
        """Messages may have been lost, or the epoch is another one: every reader has to catch up."""
