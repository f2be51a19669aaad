"""A small TCP proxy that misbehaves on demand: what stands between browsers and servers in bad weather.

It listens on a free port of 127.0.0.1 and hands connections to its targets in turn, passing over those that refuse, as
a load balancer does.  Its faults are attributes that may be changed at any time, from any thread.
"""

import asyncio
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

__all__ = ["FaultProxy"]

_CHUNK = 65_536


class FaultProxy:
    """A context manager.

    - ``is_black_hole``: nothing passes in either direction, and nobody is told; what was on its way passes afterwards.
    - ``refuses``: new connections are cut at once.
    - ``idle_limit``: seconds after which a connection on which nothing passes is cut; 0: never.
    - ``buffers``: an answer is held back until it is whole, or has 64 KB, or the server closes, as some proxies do.
    - ``delay``: seconds that each piece is late.
    """

    def __init__(self, *targets: int) -> None:
        self.targets: Sequence[int] = targets
        self.port = 0
        self.is_black_hole = self.refuses = self.buffers = False
        self.idle_limit = self.delay = 0.0
        self._turns = count()
        self._open: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._is_ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultProxy":
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        """Cut every connection, as a cable that is pulled."""
        done = threading.Event()

        def cancel() -> None:
            for task in self._open:
                task.cancel()
            done.set()

        self._loop.call_soon_threadsafe(cancel)
        done.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.CancelledError, OSError, TimeoutError):
            pass  # cut, or one end hung up
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            return
        there = await self._connect()
        if there is None:
            return
        try:
            passed = _Passed(self._loop.time())
            sending = asyncio.ensure_future(self._pump(reader, there[1], passed, holds_back=False))
            receiving = asyncio.ensure_future(self._pump(there[0], writer, passed, holds_back=True))
            try:
                await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
                writer.close()
                await writer.wait_closed()  # what was written last still goes out
            finally:
                sending.cancel()
                receiving.cancel()
        finally:
            there[1].transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turns)
        for step in range(len(self.targets)):
            target = self.targets[(first + step) % len(self.targets)]
            try:
                return await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                continue
        return None

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passed: "_Passed", *, holds_back: bool
    ) -> None:
        """Pass on until the source ends; then what was held back goes out too."""
        held = b""
        while piece := await self._read(source, passed):
            while self.is_black_hole:
                await asyncio.sleep(0.05)
            if self.delay:
                await asyncio.sleep(self.delay)
            held += piece
            if not (holds_back and self.buffers) or len(held) > _CHUNK or _is_whole(held):
                sink.write(held)
                held = b""
                await sink.drain()
        sink.write(held)
        await sink.drain()

    async def _read(self, source: asyncio.StreamReader, passed: "_Passed") -> bytes:
        """The next piece; ``TimeoutError`` when nothing has passed in either direction for too long."""
        while self.idle_limit:
            left = passed.at + self.idle_limit - self._loop.time()
            try:
                piece = await asyncio.wait_for(source.read(_CHUNK), max(left, 0.0))
                break
            except TimeoutError:
                if passed.at + self.idle_limit <= self._loop.time():
                    raise
        else:
            piece = await source.read(_CHUNK)
        passed.at = self._loop.time()
        return piece


@dataclass
class _Passed:
    """When something has passed on a connection, in seconds of the loop."""

    at: float


def _is_whole(answer: bytes) -> bool:
    """Whether these bytes are an answer of HTTP/1.1 that has ended."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"HTTP/1.1 "):
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return len(body) >= (int(length[1]) if length else 0)
