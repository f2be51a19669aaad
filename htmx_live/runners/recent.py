"""``RecentRefs``: the refs that were cancelled here lately, for runners whose jobs end in other processes."""

import threading
from collections import OrderedDict

__all__ = ["RecentRefs"]

_KEPT = 1000


class RecentRefs:
    """A set of refs; of very many the oldest go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refs: OrderedDict[str, None] = OrderedDict()

    def add(self, ref: str) -> None:
        with self._lock:
            self._refs[ref] = None
            while len(self._refs) > _KEPT:
                self._refs.popitem(last=False)

    def __contains__(self, ref: str) -> bool:
        return ref in self._refs
