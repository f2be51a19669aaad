"""A client for tests: raw connections that read a stream event by event, and plain requests."""

import asyncio
import json
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["Connections", "Event", "RawStream", "ask", "tell"]

PATIENCE = 20.0  # seconds until a stream that says nothing fails the test


@dataclass(frozen=True)
class Event:
    """A block of a stream: an event, or a comment's with its id."""

    id: str = ""
    name: str = ""
    data: str = ""


class RawStream:
    """One HTTP/1.1 connection with an open response in chunks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self._body = b""

    @classmethod
    async def open(cls, port: int, path: str = "/live/stream/", **headers: str) -> "RawStream":
        return await cls.on(*await asyncio.open_connection("127.0.0.1", port), path=path, **headers)

    @classmethod
    async def on(
        cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, path: str = "/live/stream/", **headers: str
    ) -> "RawStream":
        """Ask for the stream on a connection that is there."""
        stream = cls(reader, writer)
        lines = [f"GET {path} HTTP/1.1", "host: localhost", "accept: text/event-stream"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        stream.writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = await asyncio.wait_for(stream.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        except BaseException:
            stream.writer.transport.abort()
            raise
        first, *rest = head.decode().strip().split("\r\n")
        stream.status = int(first.split()[1])
        stream.headers = dict(line.lower().split(": ", 1) for line in rest)
        return stream

    async def event(self) -> Event | None:
        """The next block, or None at the end of the response."""
        while b"\n\n" not in self._body:
            chunk = await self._chunk()
            if not chunk:
                return None
            self._body += chunk
        block, self._body = self._body.split(b"\n\n", 1)
        fields: dict[str, list[str]] = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        return Event(
            id="".join(fields.get("id", [])),
            name="".join(fields.get("event", [])),
            data="\n".join(fields.get("data", [])),
        )

    async def until(self, name: str, *, with_empty: bool = False) -> list[Event]:
        """The events up to the first of that name, without signs of life."""
        found = []
        while event := await self.event():
            if event.data or with_empty:
                found.append(event)
            if event.name == name:
                return found
        raise AssertionError(f"The stream ended without an event {name!r}: {found}")

    async def until_data(self, data: str) -> list[Event]:
        """The events up to the first that holds ``data``."""
        found = []
        while event := await self.event():
            found.append(event)
            if event.data == data:
                return found
        raise AssertionError(f"The stream ended without {data!r}: {found}")

    async def settle(self) -> str:
        """Read the greeting; the position after it."""
        assert self.status == 200, self.status
        while event := await self.event():
            if event.id and not event.data:
                return event.id
        raise AssertionError("The stream ended before it had begun.")

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def _chunk(self) -> bytes:
        size = int(await asyncio.wait_for(self.reader.readline(), PATIENCE) or b"0", 16)
        chunk = await self.reader.readexactly(size)
        await self.reader.readline()
        return chunk


class Connections:
    """Streams of one server, closed together at the end of a block."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: list[RawStream] = []

    async def open(self, path: str = "/live/stream/", **headers: str) -> RawStream:
        stream = await RawStream.open(self.port, path, **headers)
        self._streams.append(stream)
        return stream

    async def open_many(self, count: int, **headers: str) -> list[RawStream]:
        """Each for a page of its own, after its greeting."""
        streams = [await self.open(x_live_page=f"p{n}", **headers) for n in range(count)]
        for stream in streams:
            await stream.settle()
        return streams

    async def tell(self, *calls: tuple[str, dict[str, Any]]) -> Any:
        return await asyncio.to_thread(tell, self.port, *calls)

    async def ask(self) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.port)

    async def __aenter__(self) -> "Connections":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*(stream.close() for stream in self._streams))


def tell(port: int, *calls: tuple[str, dict[str, Any]]) -> Any:
    """Let the server call these methods of its bus; what the last returned."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/command/", json.dumps(calls).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)["answer"]


def ask(port: int) -> dict[str, Any]:
    """The server's census."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/census/", timeout=PATIENCE) as answer:
        census: dict[str, Any] = json.load(answer)
        return census
