"""Renewal: the leases that this process holds, renewed by a thread of its own for as long as there are any.

A lease that is not renewed in time, because the process was stopped or Redis was away, may be another's by then.
Nothing here finds that out: the store lets nobody save whose lease was lost.

A call that was not answered may have been heard, or may yet be when a frozen Redis goes on.  So a lease that could not
be taken, or given back, is given up: the thread gives it back as soon as Redis answers, before others wait for its end.
"""

import logging
import os
import threading

from htmx_live.backends.base import Lease
from htmx_live.backends.redis.client import StoreScripts, to_milliseconds
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable

__all__ = ["HANDOVER_TTL", "LeaseRenewer"]


logger = logging.getLogger("htmx_live.backends")

HANDOVER_TTL = 3.0  # seconds in which who is handed a lease confirms it
_RENEWAL_INTERVAL = 1.0  # seconds between two looks, unless a third of LEASE_TTL is less
_MAX_GIVEN_UP = 10_000  # leases that have been given up; more end by themselves


class LeaseRenewer:
    """Renews all leases together; most are given back long before that."""

    def __init__(self, scripts: StoreScripts) -> None:
        self._scripts = scripts
        self._lock = threading.Lock()
        self._held: dict[str, Lease] = {}  # by token
        self._given_up: dict[str, Lease] = {}
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._ensure_thread()
            self._held[lease.token] = lease

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._held.pop(lease.token, None)

    def give_up(self, lease: Lease) -> None:
        with self._lock:
            self._ensure_thread()
            if len(self._given_up) < _MAX_GIVEN_UP:
                self._given_up[lease.token] = lease

    def close(self) -> None:
        """Leases that are still held end by themselves."""
        self._closed.set()

    def _ensure_thread(self) -> None:
        """Under the lock."""
        if self._pid != os.getpid():  # forked: the leases and the thread are the parent's
            self._held, self._given_up, self._thread, self._pid = {}, {}, None, os.getpid()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="htmx-live-leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(min(settings().LEASE_TTL / 3, _RENEWAL_INTERVAL)):
            with self._lock:
                held, given_up = list(self._held.values()), list(self._given_up.values())
                if not held and not given_up:
                    self._thread = None
                    return
            try:
                self._renew(held, given_up)
            except StoreUnavailable as error:
                log_unavailable(logger, error, "renewals of leases", "Leases could not be renewed")
            except Exception:  # a boundary: the leases of all turns must not end with one fault
                logger.exception("Leases could not be renewed")

    def _renew(self, held: list[Lease], given_up: list[Lease]) -> None:
        args = [word for lease in held for word in (lease.instance, lease.token)]
        self._scripts.run("renew", to_milliseconds(settings().LEASE_TTL), *args, pool="leases")
        for lease in given_up:
            # Mail that is left comes up by its deadline.
            self._scripts.run("release", lease.instance, lease.token, to_milliseconds(HANDOVER_TTL), pool="leases")
            with self._lock:
                del self._given_up[lease.token]
