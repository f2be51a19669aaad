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

__all__ = ["Address", "Answer", "Heard", "OpenStream", "ask", "chosen_protocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a site is: ``url`` is its root as browsers write it; ``patience`` is in seconds, for each answer."""

    url: str
    patience: float = 10.0
    is_verified: bool = True  # the certificate

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    def path(self, below: str) -> str:
        """A path of the site, under the path of its root."""
        return self.parts.path.rstrip("/") + below

    @property
    def origin(self) -> str:
        """As a browser says where a request comes from."""
        return f"{self.parts.scheme}://{self.parts.netloc}"

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self.is_verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def connect(self) -> HTTPConnection:
        """An open connection; ``OSError`` when there is none to be had."""
        host, port = self.parts.hostname or "", self.parts.port
        connection: HTTPConnection
        if self.parts.scheme == "https":
            connection = HTTPSConnection(host, port, timeout=self.patience, context=self.tls())
        else:
            connection = HTTPConnection(host, port, timeout=self.patience)
        connection.connect()
        return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``headers`` have lower-case names; ``after`` is seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of waiting for a line: the line, the end of the stream, or nothing; ``after`` is seconds of waiting."""

    what: Literal["line", "end", "silence"]
    text: str = ""
    after: float


def ask(address: Address, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to one request on a connection of its own; ``OSError`` or ``HTTPException`` when there is none."""
    began, connection = time.monotonic(), address.connect()
    try:
        # Closed after the answer: a proxy that holds answers back then lets go of this one.
        sent = {"Accept": "*/*", "Connection": "close", **(headers or {})}
        connection.request(method, address.path(path), headers=sent)
        response = connection.getresponse()
        body = response.read(65_536)
        return Answer(status=response.status, headers=_headers(response), body=body, after=time.monotonic() - began)
    finally:
        connection.close()


def chosen_protocol(address: Address) -> str:
    """What a browser and this address agree on over TLS: "h2", or "http/1.1"."""
    context = address.tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, port = address.parts.hostname or "", address.parts.port or 443
    plain = socket.create_connection((host, port), address.patience)
    with plain, context.wrap_socket(plain, server_hostname=host) as wrapped:
        return wrapped.selected_alpn_protocol() or "http/1.1"


@dataclass(slots=True)
class OpenStream:
    """A GET whose answer goes on.  A context manager: entered, it has the answer's status and headers.

    Entering raises ``OSError`` (a ``TimeoutError`` when nothing came) or ``HTTPException``.
    """

    address: Address
    path: str
    headers: Mapping[str, str]
    answer: Answer = field(init=False)
    _lines: "queue.SimpleQueue[str | None]" = field(init=False, default_factory=queue.SimpleQueue)
    _connection: HTTPConnection = field(init=False)
    _sock: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "OpenStream":
        began = time.monotonic()
        connection = self._connection = self.address.connect()
        self._sock = connection.sock  # which the connection gives away to an answer that says "close"
        try:
            connection.request("GET", self.address.path(self.path), headers=dict(self.headers))
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        self.answer = Answer(status=response.status, headers=_headers(response), after=time.monotonic() - began)
        self._sock.settimeout(None)
        self._thread = threading.Thread(target=self._read, args=(response,), name="live-doctor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):  # it has ended already
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def hear(self, wanted: Callable[[str], bool], *, within: float) -> Heard:
        """The first line that is ``wanted``; others are dropped.  ``after`` a cut, the silence before it is meant."""
        began = last = time.monotonic()
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, began + within - time.monotonic()))
            except queue.Empty:
                return Heard(what="silence", after=time.monotonic() - began)
            if line is None:
                self._lines.put(None)  # an end stays one
                return Heard(what="end", after=time.monotonic() - last)
            last = time.monotonic()
            if wanted(line):
                return Heard(what="line", text=line, after=last - began)

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


def _headers(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
