"""Reading a site as a browser would: single answers, and streams line by line with the time at which each line came."""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Literal
from urllib.parse import SplitResult, urlsplit

__all__ = ["ProbeResponse", "SiteAddress", "StreamEvent", "StreamProbe", "fetch", "negotiate_protocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAddress:
    """Where a site is: ``url`` is its root as browsers write it; ``timeout`` is in seconds, for each answer."""

    url: str
    timeout: float = 10.0
    verifies_certificate: bool = True  # the certificate

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    def full_path(self, below: str) -> str:
        """A path of the site, under the path of its root."""
        return self.parts.path.rstrip("/") + below

    @property
    def origin(self) -> str:
        """As a browser says where a request comes from."""
        return f"{self.parts.scheme}://{self.parts.netloc}"

    def create_tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self.verifies_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def connect(self) -> HTTPConnection:
        """An open connection; ``OSError`` when there is none to be had."""
        host, port = self.parts.hostname or "", self.parts.port
        connection: HTTPConnection
        if self.parts.scheme == "https":
            connection = HTTPSConnection(host, port, timeout=self.timeout, context=self.create_tls_context())
        else:
            connection = HTTPConnection(host, port, timeout=self.timeout)
        connection.connect()
        return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResponse:
    """``headers`` have lower-case names; ``seconds`` is how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """A line of the stream, its end, or nothing; ``seconds`` is how long it took."""

    kind: Literal["line", "end", "silence"]
    text: str = ""
    seconds: float


def fetch(
    address: SiteAddress, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> ProbeResponse:
    """The answer to one request on a connection of its own; ``OSError`` or ``HTTPException`` when there is none."""
    started_at, connection = time.monotonic(), address.connect()
    try:
        # Closed after the answer: a proxy that holds answers back then lets go of this one.
        request_headers = {"Accept": "*/*", "Connection": "close", **(headers or {})}
        connection.request(method, address.full_path(path), headers=request_headers)
        response = connection.getresponse()
        body = response.read(65_536)
        return ProbeResponse(
            status=response.status,
            headers=_lowercase_headers(response),
            body=body,
            seconds=time.monotonic() - started_at,
        )
    finally:
        connection.close()


def negotiate_protocol(address: SiteAddress) -> str:
    """What a browser and this address agree on over TLS: "h2", or "http/1.1"."""
    context = address.create_tls_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, port = address.parts.hostname or "", address.parts.port or 443
    plain = socket.create_connection((host, port), address.timeout)
    with plain, context.wrap_socket(plain, server_hostname=host) as wrapped:
        return wrapped.selected_alpn_protocol() or "http/1.1"


@dataclass(slots=True)
class StreamProbe:
    """A GET whose answer goes on.  A context manager: entered, it has the answer's status and headers.

    Entering raises ``OSError`` (a ``TimeoutError`` when nothing came) or ``HTTPException``.
    """

    address: SiteAddress
    path: str
    headers: Mapping[str, str]
    response: ProbeResponse = field(init=False)
    _lines: "queue.SimpleQueue[str | None]" = field(init=False, default_factory=queue.SimpleQueue)
    _connection: HTTPConnection = field(init=False)
    _sock: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "StreamProbe":
        started_at = time.monotonic()
        connection = self._connection = self.address.connect()
        self._sock = connection.sock  # which the connection gives away to an answer that says "close"
        try:
            connection.request("GET", self.address.full_path(self.path), headers=dict(self.headers))
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        self.response = ProbeResponse(
            status=response.status, headers=_lowercase_headers(response), seconds=time.monotonic() - started_at
        )
        self._sock.settimeout(None)
        self._thread = threading.Thread(target=self._read, args=(response,), name="live-doctor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):  # it has ended already
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def wait_for_line(self, is_wanted: Callable[[str], bool], *, timeout: float) -> StreamEvent:
        """The first line that ``is_wanted``; others are dropped.  After a cut, the silence before it is meant."""
        started_at = last = time.monotonic()
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, started_at + timeout - time.monotonic()))
            except queue.Empty:
                return StreamEvent(kind="silence", seconds=time.monotonic() - started_at)
            if line is None:
                self._lines.put(None)  # an end stays one
                return StreamEvent(kind="end", seconds=time.monotonic() - last)
            last = time.monotonic()
            if is_wanted(line):
                return StreamEvent(kind="line", text=line, seconds=last - started_at)

    def _read(self, response: HTTPResponse) -> None:
        rest = b""
        try:
            while piece := response.read1(65_536):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._lines.put(line.decode(errors="replace"))
        except (OSError, HTTPException, ValueError):  # cut, by whomever
            pass
        finally:
            self._lines.put(None)
            response.close()


def _lowercase_headers(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
