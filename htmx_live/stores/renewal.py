"""Renewal: the leases that this process holds, renewed by a thread of its own for as long as there are any.

A lease that is not renewed in time, because the process was stopped or Redis was away, may be another's by then.
Nothing here finds that out: the store lets nobody save whose lease was lost.
"""

import logging
import os
import threading

from htmx_live.conf import settings
from htmx_live.exceptions import StoreUnavailable
from htmx_live.stores.base import Lease
from htmx_live.stores.scripts import Scripts, milliseconds

__all__ = ["Renewal"]

logger = logging.getLogger("htmx_live.stores")


class Renewal:
    """All leases are renewed together, three times in ``LEASE_TTL``; most are given back long before that."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}  # by token
        self._process = os.getpid()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, lease: Lease) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            if self._process != os.getpid():  # forked: the leases and the thread are the parent's
                self._leases, self._thread, self._process = {}, None, os.getpid()
            self._leases[lease.token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="htmx-live-leases", daemon=True)
                self._thread.start()

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(lease.token, None)

    def close(self) -> None:
        """Leases that are still held end by themselves."""
        with self._lock:
            self._leases.clear()
            self._closed.set()

    def _run(self) -> None:
        while True:
            self._closed.wait(settings().LEASE_TTL / 3)
            with self._lock:
                leases = list(self._leases.values())
                if not leases:
                    self._thread = None
                    return
            try:
                words = [word for lease in leases for word in (lease.instance, lease.token)]
                self._scripts.run("renew", milliseconds(settings().LEASE_TTL), *words)
            except StoreUnavailable as error:
                logger.warning("Leases could not be renewed: %s", error)
            except Exception:  # a boundary: the leases of all turns must not end with one fault
                logger.exception("Leases could not be renewed")
