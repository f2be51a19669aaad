"""A small TCP proxy that misbehaves on demand: what stands between browsers and servers in bad weather.

It listens on a free port of 127.0.0.1 and hands connections to its targets in turn, passing over those that refuse, as
a load balancer does.  Its faults are attributes that may be changed at any time, from any thread.
"""

import asyncio
import threading
from collections.abc import Sequence
from itertools import count

__all__ = ["FaultProxy"]

_CHUNK = 65_536


class FaultProxy:
    """A context manager.

    - ``is_black_hole``: nothing passes in either direction, and nobody is told; what was on its way passes afterwards.
    - ``refuses``: new connections are cut at once.
    - ``idle_limit``: seconds after which a connection on which nothing passes is cut; 0: never.
    - ``buffers``: answers are held back until the server closes, or has written 64 KB, as some proxies do.
    - ``delay``: seconds that each piece is late.
    """

    def __init__(self, *targets: int) -> None:
        self.targets: Sequence[int] = targets
        self.port = 0
        self.is_black_hole = self.refuses = self.buffers = False
        self.idle_limit = self.delay = 0.0
        self._turns = count()
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._is_ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultProxy":
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
            sending = asyncio.ensure_future(self._pump(reader, there[1], holds_back=False))
            receiving = asyncio.ensure_future(self._pump(there[0], writer, holds_back=True))
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

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, holds_back: bool) -> None:
        """Pass on until the source ends; then what was held back goes out too."""
        held = b""
        while piece := await self._read(source):
            while self.is_black_hole:
                await asyncio.sleep(0.05)
            if self.delay:
                await asyncio.sleep(self.delay)
            held += piece
            if not (holds_back and self.buffers) or len(held) > _CHUNK:
                sink.write(held)
                held = b""
                await sink.drain()
        sink.write(held)
        await sink.drain()

    async def _read(self, source: asyncio.StreamReader) -> bytes:
        if not self.idle_limit:
            return await source.read(_CHUNK)
        return await asyncio.wait_for(source.read(_CHUNK), self.idle_limit)
