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

from htmx_live.backends.base import Lease, LoadedRecord
from htmx_live.backends.memory.locks import REDELIVERY_AFTER
from htmx_live.backends.memory.store import MAX_CHANNELS_PER_PAGE
from htmx_live.backends.redis.client import RedisConnection, StoreScripts, redis_connection, to_milliseconds
from htmx_live.backends.redis.leases import HANDOVER_TTL, LeaseRenewer
from htmx_live.backends.redis.wakeups import Wakeups
from htmx_live.backends.serialization import RECORD_FIELDS, UnreadableRecord, decode_record, encode_record
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable, TooManyWaiting
from htmx_live.core.records import Owner, Record
from htmx_live.core.signing import random_id

__all__ = ["RedisStore"]


logger = logging.getLogger("htmx_live.backends")

_EPOCH_MAX_AGE = 1.0  # seconds for which the epoch that was read last is believed
_WAITER_TTL = 5.0  # seconds after which a waiter that does not ask again has died
_MESSAGE_GRACE = 2.0  # seconds beyond a lost lease after which somebody looks after the mail
_RETRY_INTERVAL = 1.0  # seconds after which a waiter asks without having been woken
_FULL, _HELD = -1, 1  # answers of acquire.lua

ScriptArgument = str | int


class RedisStore:
    """See ``htmx_live.backends.base.Store``; ``clock`` is for tests: seconds, in the place of Redis's own time."""

    def __init__(self, connection: RedisConnection | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._connection = connection or redis_connection()
        self._scripts = StoreScripts(self._connection, clock)
        self._lease_renewer = LeaseRenewer(self._scripts)
        self._wakeups = Wakeups(self._connection)
        # What came with a lease, for the thread that holds it: it loads next, and needs no call for that.
        self._prefetched: dict[str, tuple[int, list[Any] | None]] = {}

    @property
    def epoch(self) -> str:
        """Read at most once in a second; the bus, which is asked for its position with every request, reads it too."""
        known = self._connection.cached_epoch(max_age=_EPOCH_MAX_AGE)
        if not known:
            known = self._scripts.run("epoch", random_id()[:16])
            self._connection.cache_epoch(known)
        return known

    def close(self) -> None:
        """Renew no lease any more."""
        self._lease_renewer.close()

    # Records

    def create(self, record: Record, *, once: bool = False) -> bool:
        self._prefetched.pop(record.instance, None)
        # Visitors without a token are many: their records are bounded by their time alone.
        cap = 0 if record.owner == Owner() else settings().MAX_INSTANCES_PER_OWNER
        args: list[ScriptArgument] = [
            record.instance,
            int(once),
            record.owner.key,
            cap,
            random_id(),
            *encode_record(record),
        ]
        return bool(self._scripts.run("create", *args))

    def load(self, instance: str) -> LoadedRecord | None:
        thread, fetched = self._prefetched.pop(instance, (0, None))
        if thread != threading.get_ident():
            fetched = self._scripts.run("load", instance)
        if not fetched:
            self._connection.cache_epoch("")  # one record is gone: perhaps all are
            return None
        return self._parse_loaded(instance, fetched)

    def save(self, record: Record, *, lease: Lease, ack: int = 0) -> bool:
        args: list[ScriptArgument] = [
            record.instance,
            lease.token,
            record.rev - 1,
            ack,
            random_id(),
            *encode_record(record),
        ]
        return bool(self._scripts.run("save", *args))

    def delete(self, instance: str) -> None:
        self._prefetched.pop(instance, None)
        self._scripts.run("delete", instance, "*")

    def enqueue(self, instance: str, message: str, *, coalesce_key: str = "") -> int:
        self._prefetched.pop(instance, None)
        within = to_milliseconds(settings().LEASE_TTL + _MESSAGE_GRACE)
        deadline_payload = json.dumps({"kind": "mail", "instance": instance})
        return int(self._scripts.run("post", instance, message, coalesce_key, within, deadline_payload))

    def find_by_view(self, view: str, *, with_state: bool = True, user: str = "") -> Iterator[Record]:
        """Read in parts, so that a view of many thousands keeps Redis from others for a moment at most."""
        cursor, seen, index = "0", set[str](), f"{view} {user}" if user else view
        while True:
            cursor, *found = self._scripts.run("of_view", index, cursor, int(with_state))
            for *values, instance in found:
                if instance in seen:  # a set that is growing is told in part twice
                    continue
                seen.add(instance)
                try:
                    yield _parse_record(instance, values)
                except UnreadableRecord as error:
                    logger.warning("The record of instance %s is left out: %s", instance, error)
            if cursor == "0":
                return

    def count(self, owner: Owner) -> int:
        return int(self._connection.call("ZCARD", self._connection.key("owner", owner.key)))

    # Leases

    def acquire(self, instance: str, *, wait: float, max_waiting: int | None = None) -> Lease | None:
        lease, deadline = Lease(instance=instance, token=random_id()), time.monotonic() + wait
        try:
            with self._wakeups.expect(lease.token) as handed_over:
                while not self._try_acquire(
                    lease, may_wait=(left := deadline - time.monotonic()) > 0, max_waiting=max_waiting
                ):
                    if left <= 0:
                        return None
                    self._wakeups.listen()
                    handed_over.wait(min(left, _RETRY_INTERVAL))
                    handed_over.clear()  # it may come too late: then the lease is another's
                return lease
        except StoreUnavailable:
            self._lease_renewer.give_up(lease)
            raise

    def _try_acquire(self, lease: Lease, *, may_wait: bool, max_waiting: int | None) -> bool:
        """Ask once; whether ``lease`` is held now.  If not and it ``waits``, it has its place in the queue."""
        process = self._wakeups.process if may_wait else ""
        times = to_milliseconds(settings().LEASE_TTL), process, to_milliseconds(_WAITER_TTL)
        most = -1 if max_waiting is None else max_waiting
        answer, *fetched = self._scripts.run("acquire", lease.instance, lease.token, *times, most)
        if answer == _FULL:
            raise TooManyWaiting(lease.instance, most)
        if answer == _HELD:
            self._lease_renewer.add(lease)
            self._prefetched[lease.instance] = threading.get_ident(), fetched[0]
        return bool(answer == _HELD)

    def release(self, lease: Lease) -> bool:
        self._prefetched.pop(lease.instance, None)
        self._lease_renewer.remove(lease)
        try:
            heir = to_milliseconds(HANDOVER_TTL)
            return bool(self._scripts.run("release", lease.instance, lease.token, heir, pool="leases"))
        except StoreUnavailable:
            self._lease_renewer.give_up(lease)
            raise

    # Pages

    def touch_page(self, page: str, *, present_for: float, retain_for: float) -> None:
        self._scripts.run("show", page, to_milliseconds(present_for), to_milliseconds(retain_for))

    def is_viewed(self, instance: str) -> bool:
        return bool(self._scripts.run("is_shown", instance))

    def add_viewer(self, page: str, instance: str) -> None:
        self._scripts.run("link", page, instance)

    def instances_on(self, page: str) -> tuple[str, ...]:
        return tuple(self._connection.call("ZRANGE", self._connection.key("members", page), 0, -1))

    def add_subscription(self, page: str, channel: str) -> None:
        self._scripts.run("subscribe", page, channel, MAX_CHANNELS_PER_PAGE)

    def subscribed_channels(self, page: str) -> tuple[str, ...]:
        return tuple(self._scripts.run("channels", page))

    # Named leases and deadlines

    def acquire_lock(self, name: str, holder: str, *, ttl: float) -> bool:
        return bool(self._scripts.run("hold", name, holder, max(1, to_milliseconds(ttl))))

    def release_lock(self, name: str, holder: str) -> None:
        self._scripts.run("hold", name, holder, 0)

    def set_deadline(self, name: str, payload: str, *, within: float) -> None:
        self._scripts.run("set_deadline", name, payload, to_milliseconds(within))

    def clear_deadline(self, name: str) -> bool:
        return bool(self._scripts.run("clear_deadline", name))

    def pop_due(self, *, limit: int = 100) -> list[tuple[str, str]]:
        values = iter(self._scripts.run("overdue", limit, to_milliseconds(REDELIVERY_AFTER)))
        return list(zip(values, values, strict=True))

    def _parse_loaded(self, instance: str, fetched: list[Any]) -> LoadedRecord | None:
        values, (stamp, posted, *letters) = fetched[: len(RECORD_FIELDS)], fetched[len(RECORD_FIELDS) :]
        try:
            if values[-1] is None:
                raise UnreadableRecord("The record has no state.")
            return LoadedRecord(
                record=_parse_record(instance, values), messages=tuple(letters), last_message_number=int(posted or 0)
            )
        except ValueError as error:
            logger.warning("The record of instance %s is dropped: %s", instance, error)
            self._scripts.run("delete", instance, stamp or "")  # unless it has been written anew
            return None


def _parse_record(instance: str, values: list[str | None]) -> Record:
    record = decode_record(values)
    if record.instance != instance:
        raise UnreadableRecord(f"It says that it is {record.instance}.")
    return record
