"""Presence: tells the gate, in order, that one stream is open, still open and closed."""

import logging
from threading import Lock

from htmx_live.exceptions import StoreUnavailable
from htmx_live.outages import log_unavailable
from htmx_live.transport.access import Access, Gate
from htmx_live.transport.threads import in_background

__all__ = ["Presence"]

logger = logging.getLogger("htmx_live.transport")


class Presence:
    """``opened`` and ``renewed`` are called on a thread, ``close`` on the loop, at any moment and without waiting."""

    __slots__ = ("_access", "_gate", "_is_closed", "_is_open", "_lock")

    def __init__(self, gate: Gate, access: Access) -> None:
        self._gate, self._access = gate, access
        self._lock = Lock()  # held during a call, so that the last word is the right one
        self._is_open = self._is_closed = False

    def opened(self) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_open = True
                self._gate.opened(self._access)

    def renewed(self) -> None:
        with self._lock:
            if not self._is_closed:
                try:
                    self._gate.renewed(self._access)
                except StoreUnavailable as error:  # the stream lives on; the next beat says it again
                    message = "The presence of page %s could not be renewed"
                    log_unavailable(logger, error, "renewals of presence", message, self._access.page)

    def close(self) -> None:
        in_background(self._close)

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._is_open:
                try:
                    self._gate.closed(self._access)
                except StoreUnavailable as error:  # the page counts as present until its last heartbeat expires
                    message = "The end of page %s could not be stored"
                    log_unavailable(logger, error, "ends of presence", message, self._access.page)
