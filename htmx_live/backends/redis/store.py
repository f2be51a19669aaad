"""``RedisStore``: records in Redis (6.2 or newer, or Valkey), for a site that runs as many processes.

Every method is one script, so one step and one round trip, and all times are those of Redis's own clock.  A lease lasts
``LEASE_TTL``, is renewed while its turn runs, and is fenced by its token: whose lease was lost saves nothing.  What
cannot be read, because it is broken, forged or of another version, is gone.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from htmx_live.backends.base import Lease, Loaded
from htmx_live.backends.memory.locks import HANDED_FOR
from htmx_live.backends.memory.store import CHANNELS_PER_PAGE
from htmx_live.backends.redis.client import RedisConnection, Scripts, milliseconds, redis_connection
from htmx_live.backends.redis.leases import HEIR_TTL, Renewal
from htmx_live.backends.redis.wakeups import Wakeups
from htmx_live.backends.serialization import FIELDS, Unreadable, decode_record, encode_record
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable, TooManyWaiting
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import random_id

__all__ = ["RedisStore"]


logger = logging.getLogger("htmx_live.stores")

_EPOCH_AGE = 1.0  # seconds for which the epoch that was read last is believed
_WAITER_TTL = 5.0  # seconds after which a waiter that does not ask again has died
_MAIL_GRACE = 2.0  # seconds beyond a lost lease after which somebody looks after the mail
_ASK_AGAIN = 1.0  # seconds after which a waiter asks without having been woken
_FULL, _HELD = -1, 1  # answers of acquire.lua

Word = str | int


class RedisStore:
    """See ``htmx_live.backends.base.Store``; ``clock`` is for tests: seconds, in the place of Redis's own time."""

    def __init__(self, connection: RedisConnection | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._connection = connection or redis_connection()
        self._scripts = Scripts(self._connection, clock)
        self._renewal = Renewal(self._scripts)
        self._wakeups = Wakeups(self._connection)
        # What came with a lease, for the thread that holds it: it loads next, and needs no call for that.
        self._fetched: dict[str, tuple[int, list[Any] | None]] = {}

    @property
    def epoch(self) -> str:
        """Read at most once in a second; the bus, which is asked for its position with every request, reads it too."""
        known = self._connection.known_epoch(max_age=_EPOCH_AGE)
        if not known:
            known = self._scripts.run("epoch", random_id()[:16])
            self._connection.note_epoch(known)
        return known

    def close(self) -> None:
        """Renew no lease any more."""
        self._renewal.close()

    # Records

    def create(self, record: Record, *, once: bool = False) -> bool:
        self._fetched.pop(record.instance, None)
        # Visitors without a token are many: their records are bounded by their time alone.
        cap = 0 if record.owner == Owner() else settings().MAX_INSTANCES_PER_OWNER
        words: list[Word] = [record.instance, int(once), record.owner.key, cap, random_id(), *encode_record(record)]
        return bool(self._scripts.run("create", *words))

    def load(self, instance: str) -> Loaded | None:
        thread, fetched = self._fetched.pop(instance, (0, None))
        if thread != threading.get_ident():
            fetched = self._scripts.run("load", instance)
        if not fetched:
            self._connection.note_epoch("")  # one record is gone: perhaps all are
            return None
        return self._loaded(instance, fetched)

    def save(self, record: Record, *, lease: Lease, taken: int = 0) -> bool:
        words: list[Word] = [record.instance, lease.token, record.rev - 1, taken, random_id(), *encode_record(record)]
        return bool(self._scripts.run("save", *words))

    def delete(self, instance: str) -> None:
        self._fetched.pop(instance, None)
        self._scripts.run("delete", instance, "*")

    def post(self, instance: str, letter: str, *, fold: str = "") -> int:
        self._fetched.pop(instance, None)
        within = milliseconds(settings().LEASE_TTL + _MAIL_GRACE)
        note = json.dumps({"kind": "mail", "instance": instance})
        return int(self._scripts.run("post", instance, letter, fold, within, note))

    def of_view(self, view: str, *, state: bool = True, user: str = "") -> Iterator[Record]:
        """Read in parts, so that a view of many thousands keeps Redis from others for a moment at most."""
        cursor, seen, index = "0", set[str](), f"{view} {user}" if user else view
        while True:
            cursor, *found = self._scripts.run("of_view", index, cursor, int(state))
            for *values, instance in found:
                if instance in seen:  # a set that is growing is told in part twice
                    continue
                seen.add(instance)
                try:
                    yield _record(instance, values)
                except Unreadable as error:
                    logger.warning("The record of instance %s is left out: %s", instance, error)
            if cursor == "0":
                return

    def count(self, owner: Owner) -> int:
        return int(self._connection.call("ZCARD", self._connection.key("owner", owner.key)))

    # Leases

    def acquire(self, instance: str, *, wait: float, max_waiting: int | None = None) -> Lease | None:
        lease, give_up = Lease(instance=instance, token=random_id()), time.monotonic() + wait
        try:
            with self._wakeups.expect(lease.token) as handed:
                while not self._take(lease, waits=(left := give_up - time.monotonic()) > 0, max_waiting=max_waiting):
                    if left <= 0:
                        return None
                    self._wakeups.listen()
                    handed.wait(min(left, _ASK_AGAIN))
                    handed.clear()  # it may come too late: then the lease is another's
                return lease
        except StoreUnavailable:
            self._renewal.give_up(lease)
            raise

    def _take(self, lease: Lease, *, waits: bool, max_waiting: int | None) -> bool:
        """Ask once; whether ``lease`` is held now.  If not and it ``waits``, it has its place in the queue."""
        process = self._wakeups.process if waits else ""
        times = milliseconds(settings().LEASE_TTL), process, milliseconds(_WAITER_TTL)
        most = -1 if max_waiting is None else max_waiting
        answer, *fetched = self._scripts.run("acquire", lease.instance, lease.token, *times, most)
        if answer == _FULL:
            raise TooManyWaiting(lease.instance, most)
        if answer == _HELD:
            self._renewal.add(lease)
            self._fetched[lease.instance] = threading.get_ident(), fetched[0]
        return bool(answer == _HELD)

    def release(self, lease: Lease) -> bool:
        self._fetched.pop(lease.instance, None)
        self._renewal.remove(lease)
        try:
            heir = milliseconds(HEIR_TTL)
            return bool(self._scripts.run("release", lease.instance, lease.token, heir, pool="leases"))
        except StoreUnavailable:
            self._renewal.give_up(lease)
            raise

    # Pages

    def show(self, page: str, *, present: float, kept: float) -> None:
        self._scripts.run("show", page, milliseconds(present), milliseconds(kept))

    def is_shown(self, instance: str) -> bool:
        return bool(self._scripts.run("is_shown", instance))

    def link(self, page: str, instance: str) -> None:
        self._scripts.run("link", page, instance)

    def members(self, page: str) -> tuple[str, ...]:
        return tuple(self._connection.call("ZRANGE", self._connection.key("members", page), 0, -1))

    def subscribe(self, page: str, channel: str) -> None:
        self._scripts.run("subscribe", page, channel, CHANNELS_PER_PAGE)

    def channels(self, page: str) -> tuple[str, ...]:
        return tuple(self._scripts.run("channels", page))

    # Named leases and deadlines

    def hold(self, name: str, holder: str, *, ttl: float) -> bool:
        return bool(self._scripts.run("hold", name, holder, max(1, milliseconds(ttl))))

    def let_go(self, name: str, holder: str) -> None:
        self._scripts.run("hold", name, holder, 0)

    def set_deadline(self, name: str, note: str, *, within: float) -> None:
        self._scripts.run("set_deadline", name, note, milliseconds(within))

    def clear_deadline(self, name: str) -> bool:
        return bool(self._scripts.run("clear_deadline", name))

    def overdue(self, *, limit: int = 100) -> list[tuple[str, str]]:
        words = iter(self._scripts.run("overdue", limit, milliseconds(HANDED_FOR)))
        return list(zip(words, words, strict=True))

    def _loaded(self, instance: str, fetched: list[Any]) -> Loaded | None:
        values, (stamp, posted, *letters) = fetched[: len(FIELDS)], fetched[len(FIELDS) :]
        try:
            if values[-1] is None:
                raise Unreadable("The record has no state.")
            return Loaded(record=_record(instance, values), mail=tuple(letters), mark=int(posted or 0))
        except ValueError as error:
            logger.warning("The record of instance %s is dropped: %s", instance, error)
            self._scripts.run("delete", instance, stamp or "")  # unless it has been written anew
            return None


def _record(instance: str, values: list[str | None]) -> Record:
    record = decode_record(values)
    if record.instance != instance:
        raise Unreadable(f"It says that it is {record.instance}.")
    return record
