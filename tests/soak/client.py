"""One visitor's HTTP/1.1 client: cookies, one connection that is used again as browsers do, and raw event streams."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Client", "Lost", "Outcome", "Stream"]

PATIENCE = 30.0  # seconds until a request without an answer is lost
LIMIT = 1 << 20  # bytes of a line or of a chunk

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lost(Exception):
    """The visitor did not get what the server owed."""


@dataclass(slots=True)
class Outcome:
    """What all visitors of a run saw."""

    answers: "Counter[tuple[str, int]]" = field(default_factory=Counter)  # by kind of request and status
    visits: "Counter[str]" = field(default_factory=Counter)
    refusals: "Counter[tuple[str, int]]" = field(default_factory=Counter)  # of those, 400 and above without a reason
    losses: "Counter[str]" = field(default_factory=Counter)  # by kind
    examples: list[str] = field(default_factory=list)
    reused: int = 0  # connections that had been closed while idle; the request was sent again
    resets: int = 0  # streams whose server could not say what was missed
    slowest: float = 0.0  # seconds that an answer took

    def count(self, kind: str, status: int, *, is_expected: bool = False) -> None:
        self.answers[kind, status] += 1
        if status >= 400 and not is_expected:
            self.refusals[kind, status] += 1

    def lose(self, kind: str, what: str) -> None:
        self.losses[kind] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{kind}: {what}")


@dataclass(slots=True, frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class Client:
    """``port()`` names the server for the next connection.  It is a context manager."""

    def __init__(self, port: Callable[[], int], outcome: Outcome) -> None:
        self._port, self.outcome = port, outcome
        self.cookies: dict[str, str] = {}
        self._idle: Ends | None = None

    async def send(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        """The answer, counted by the kind of ``path``; ``Lost`` without one."""
        kind, began = kind_of(path), time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._exchange(method, path, body, headers)
        except TimeoutError:
            self.close()
            raise Lost(f"no answer to {method} {kind} within {PATIENCE:g} s") from None
        except (OSError, EOFError) as error:
            self.close()
            raise Lost(f"{method} {kind} was not answered, the connection ended: {error!r}") from None
        self.outcome.count(kind, answer.status)
        self.outcome.slowest = max(self.outcome.slowest, time.monotonic() - began)
        return answer

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator["Stream"]:
        """An event stream on a connection of its own, which ends with the block, without a goodbye."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await self._connect()
        try:
            writer.write(self._head("GET", path, "", {"Accept": "text/event-stream", **headers}))
            async with asyncio.timeout(PATIENCE):
                status, found = await self._read_head(reader)
            yield Stream(reader, status, found)
        finally:
            writer.transport.abort()

    def close(self) -> None:
        if self._idle is not None:
            self._idle[1].transport.abort()
            self._idle = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _exchange(self, method: str, path: str, body: str, headers: dict[str, str]) -> Answer:
        if self._idle is not None and self._idle[0].at_eof():
            self.close()
        ends, self._idle = self._idle, None
        request = self._head(method, path, body, headers)
        if ends is not None:
            try:
                return await self._ask(ends, request)
            except _ClosedWhileIdle:  # the server's timeout for idle connections: a browser sends it again, too
                self.outcome.reused += 1
        return await self._ask(await self._connect(), request, is_new=True)

    async def _ask(self, ends: Ends, request: bytes, *, is_new: bool = False) -> Answer:
        reader, writer = ends
        try:
            writer.write(request)
            first = await reader.read(1)
        except ConnectionError:
            first = b""
            if is_new:
                raise
        if not first:
            writer.transport.abort()
            raise EOFError("closed before the first byte") if is_new else _ClosedWhileIdle
        try:
            status, headers = await self._read_head(reader, first)
            text = await _body(reader, status, headers)
        except BaseException:
            writer.transport.abort()
            raise
        if headers.get("connection") == "close":
            writer.transport.abort()
        else:
            self._idle = ends
        return Answer(status, headers, text)

    async def _connect(self) -> Ends:
        return await asyncio.open_connection("127.0.0.1", self._port(), limit=LIMIT)

    def _head(self, method: str, path: str, body: str, headers: dict[str, str]) -> bytes:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"Host": "localhost", "Cookie": cookie, "Content-Length": str(len(body.encode())), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
        return "\r\n".join([*lines, "", body]).encode()

    async def _read_head(self, reader: asyncio.StreamReader, first: bytes = b"") -> tuple[int, dict[str, str]]:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {}
        for name, _, value in (one.partition(": ") for one in rest):
            if name.lower() == "set-cookie":
                self._keep_cookie(value)
            headers[name.lower()] = value
        return int(line.split()[1]), headers

    def _keep_cookie(self, value: str) -> None:
        name, _, rest = value.partition("=")
        content = rest.partition(";")[0].strip('"')
        if content:
            self.cookies[name] = content
        else:
            self.cookies.pop(name, None)


class _ClosedWhileIdle(Exception):
    """The connection was closed before this request arrived."""


async def _body(reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> str:
    if status in (204, 304):
        return ""
    if headers.get("transfer-encoding") != "chunked":
        return (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
    pieces = []
    while piece := await _chunk(reader):
        pieces.append(piece)
    return b"".join(pieces).decode()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of a response, empty at its end."""
    line = await reader.readline()
    if not line:
        raise EOFError("the connection ended in the middle of a response")
    piece = await reader.readexactly(int(line, 16))
    await reader.readline()
    return piece


@dataclass(slots=True, frozen=True)
class Event:
    id: str
    name: str
    data: str


class Stream:
    """An open response of server-sent events."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> None:
        self._reader, self.status, self.headers = reader, status, headers
        self._text = b""

    async def event(self) -> Event | None:
        """The next block, None at the end of the response."""
        while b"\n\n" not in self._text:
            async with asyncio.timeout(PATIENCE):
                piece = await _chunk(self._reader)
            if not piece:
                return None
            self._text += piece
        block, self._text = self._text.split(b"\n\n", 1)
        fields: dict[str, list[str]] = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        found: dict[str, Any] = {name: "\n".join(fields.get(name, [])) for name in ("id", "event", "data")}
        return Event(id=found["id"], name=found["event"], data=found["data"])


def kind_of(path: str) -> str:
    """What is counted together: ``/live/progress/GRANT/`` is one of many."""
    words = path.strip("/").split("/")
    return "/".join(words[:2] if words[0] == "live" else words[:1])
