"""Named leases of a store in memory: taken for some seconds, renewed by their holder, free again after that.

It has a lock of its own, under which nobody waits.

Deadlines of a store in memory: what somebody shall look at unless it is renewed or cleared in time.

It has a lock of its own, under which nobody waits.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest
from operator import attrgetter

from htmx_live.core.conf import settings

__all__ = ["REDELIVERY_AFTER", "RETENTION", "Deadlines", "NamedLocks"]


_PRUNE_AT = 100  # names; with more, and with twice those that stayed, it is seen which have ended


class NamedLocks:
    """See ``htmx_live.backends.base.Store``; ``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.__clock = clock
        self.__lock = threading.Lock()
        self.__held: dict[str, tuple[str, float]] = {}  # name -> holder, and until when
        self.__many = _PRUNE_AT

    def acquire_lock(self, name: str, holder: str, *, ttl: float) -> bool:
        now = self.__clock()
        with self.__lock:
            known, until = self.__held.get(name, (holder, now))
            if known != holder and until > now:
                return False
            self.__held[name] = holder, now + ttl
            if len(self.__held) > self.__many:
                self.__held = {name: held for name, held in self.__held.items() if held[1] > now}
                self.__many = max(_PRUNE_AT, 2 * len(self.__held))
            return True

    def release_lock(self, name: str, holder: str) -> None:
        with self.__lock:
            if name in self.__held and self.__held[name][0] == holder:
                del self.__held[name]


REDELIVERY_AFTER = 5.0  # seconds in which who was told of a deadline is expected to clear it
RETENTION = 86_400.0  # seconds after its time at which a deadline that nobody cleared is forgotten


@dataclass(slots=True)
class _Deadline:
    name: str
    payload: str
    due_at: float  # when it comes up next
    expires_at: float  # when it is forgotten


class Deadlines:
    """See ``htmx_live.backends.base.Store``; ``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.__clock = clock
        self.__lock = threading.Lock()
        self.__deadlines: dict[str, _Deadline] = {}
        self.__many = 0  # evict again once there are more than these

    def set_deadline(self, name: str, payload: str, *, within: float) -> None:
        at = self.__clock() + within
        with self.__lock:
            self.__deadlines[name] = _Deadline(name, payload, at, at + RETENTION)
            if len(self.__deadlines) > max(settings().MAX_RECORDS, self.__many):
                self.__evict()

    def clear_deadline(self, name: str) -> bool:
        with self.__lock:
            return self.__deadlines.pop(name, None) is not None

    def pop_due(self, *, limit: int = 100) -> list[tuple[str, str]]:
        now = self.__clock()
        with self.__lock:
            due = [deadline for deadline in self.__deadlines.values() if deadline.due_at <= now]
            for deadline in due:
                if deadline.expires_at <= now:
                    del self.__deadlines[deadline.name]
            first = nsmallest(limit, (one for one in due if one.expires_at > now), key=attrgetter("due_at"))
            for deadline in first:
                deadline.due_at = now + REDELIVERY_AFTER
            return [(deadline.name, deadline.payload) for deadline in first]

    def __evict(self) -> None:
        """Under the lock: past the cap, drop the deadlines that have been overdue longest.

        A deadline whose time has not come stays, however many there are: a live job renews its own in time.
        """
        now, cap = self.__clock(), settings().MAX_RECORDS
        overdue = [deadline for deadline in self.__deadlines.values() if deadline.expires_at - RETENTION <= now]
        for deadline in nsmallest(len(self.__deadlines) - cap, overdue, key=attrgetter("expires_at")):
            del self.__deadlines[deadline.name]
        self.__many = len(self.__deadlines) + cap // 10  # a table that stays full is searched at every tenth only
