"""Named leases of a store in memory: taken for some seconds, renewed by their holder, free again after that.

It has a lock of its own, under which nobody waits.
"""

import threading
from collections.abc import Callable

__all__ = ["Holds"]

_MANY = 100  # names; with more, and with twice those that stayed, it is seen which have ended


class Holds:
    """See ``htmx_live.stores.base.Store``; ``clock`` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.__clock = clock
        self.__lock = threading.Lock()
        self.__held: dict[str, tuple[str, float]] = {}  # name -> holder, and until when
        self.__many = _MANY

    def hold(self, name: str, holder: str, *, ttl: float) -> bool:
        now = self.__clock()
        with self.__lock:
            known, until = self.__held.get(name, (holder, now))
            if known != holder and until > now:
                return False
            self.__held[name] = holder, now + ttl
            if len(self.__held) > self.__many:
                self.__held = {name: held for name, held in self.__held.items() if held[1] > now}
                self.__many = max(_MANY, 2 * len(self.__held))
            return True

    def let_go(self, name: str, holder: str) -> None:
        with self.__lock:
            if name in self.__held and self.__held[name][0] == holder:
                del self.__held[name]
