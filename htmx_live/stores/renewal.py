"""Renewal: the leases that this process holds, renewed by a thread of its own for as long as there are any.

A lease that is not renewed in time, because the process was stopped or Redis was away, may be another's by then.
Nothing here finds that out: the store lets nobody save whose lease was lost.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable

from htmx_live.exceptions import StoreUnavailable
from htmx_live.stores.base import Lease

__all__ = ["Renewal"]

logger = logging.getLogger("htmx_live.stores")

Renew = Callable[[Iterable[Lease]], object]


class Renewal:
    """``renew`` is given all leases every ``interval()`` seconds; most are given back long before that."""

    def __init__(self, renew: Renew, *, interval: Callable[[], float]) -> None:
        self._renew, self._interval = renew, interval
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}  # by token
        self._process = os.getpid()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self._lock:
            if self._process != os.getpid():  # forked: the leases and the thread are the parent's
                self._leases, self._thread, self._process = {}, None, os.getpid()
            self._leases[lease.token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="htmx-live-leases", daemon=True)
                self._thread.start()

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(lease.token, None)

    def _run(self) -> None:
        pause = threading.Event()  # set by nobody
        while True:
            pause.wait(self._interval())
            with self._lock:
                leases = list(self._leases.values())
                if not leases:
                    self._thread = None
                    return
            try:
                self._renew(leases)
            except StoreUnavailable as error:
                logger.warning("Leases could not be renewed: %s", error)
            except Exception:  # a boundary: the leases of all turns must not end with one fault
                logger.exception("Leases could not be renewed")
