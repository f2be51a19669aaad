"""Outages: a store that goes away is logged once, and once when it is back, with counts of what failed meanwhile.

Each open stream, request and job notices an outage by itself.  They count what fails, so that the log of a process with
10,000 streams has two lines.
"""

import logging
import threading
import time
from collections import Counter

from htmx_live.exceptions import StoreUnavailable

__all__ = ["Outage", "log_unavailable"]


class Outage:
    """One time during which the store is away.  It has been logged."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def summary(self) -> str:
        """How long it lasted, and what failed how often, the most frequent first."""
        with self._lock:
            counts = ", ".join(f"{number} {what}" for what, number in self._counts.most_common())
        return f"after {time.monotonic() - self._began:.1f} s; failed meanwhile: {counts or 'nothing'}"


def log_unavailable(logger: logging.Logger, error: StoreUnavailable, what: str, message: str, *args: object) -> None:
    """Log a warning that something failed because of ``error``; in an outage only count it, as one of ``what``."""
    if isinstance(error.outage, Outage):
        error.outage.count(what)
    level = logging.DEBUG if error.outage else logging.WARNING
    logger.log(level, f"{message}: %s", *args, error)
