"""A scripted server: speaks docs/wire.md byte for byte, in orders that a real server cannot be forced into.

Every request is an ``Exchange`` that a test answers when it likes, in parts, or never.  What no test cares about is
answered at once: a stream gets its ``hello``, a sync its 204.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Exchange", "ScriptedServer", "message"]

STATIC = Path(__file__).parents[2] / "static" / "htmx_live"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; report-uri /csp/"
TYPES = {".js": "text/javascript", ".css": "text/css"}


def message(data: str = "", *, event: str = "", id: str = "") -> str:
    """One SSE message; several lines of ``data`` become several fields."""
    fields = [("event", event)] if event else []
    fields += [("id", id)] if id else []
    fields += [("data", line) for line in data.split("\n")] if data else []
    return "".join(f"{name}: {value}\n" for name, value in fields) + "\n"


class Exchange:
    """One request and the connection that it came on."""

    def __init__(self, head: bytes, body: bytes, writer: asyncio.StreamWriter, cut: set[tuple[bytes, bytes]]) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.path = self.target.partition("?")[0]
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}
        self.body = body
        self.closed = threading.Event()  # the browser hung up
        self.request = head, body
        self._cut = cut
        self._writer = writer
        self._loop = asyncio.get_running_loop()

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def answer(self, body: str = "", *, status: int = 200, **headers: str) -> None:
        """The whole answer; ``X_Live_Url="…"`` becomes the header ``X-Live-Url``."""
        data = body.encode()
        self.start(
            status=status, **{"Content_Type": "text/html; charset=utf-8", **headers}, Content_Length=str(len(data))
        )
        self.send(data)
        self.end()

    def start(self, *, status: int = 200, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", "Connection: close", "Cache-Control: no-store"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines) + "\r\n\r\n")

    def start_stream(self, *, hello: bool = True, heartbeat: float = 15) -> None:
        self.start(Content_Type="text/event-stream")
        if hello:
            self.send(message(json.dumps({"heartbeat": heartbeat}), event="hello"))

    def send(self, part: str | bytes) -> None:
        data = part.encode() if isinstance(part, str) else part
        self._loop.call_soon_threadsafe(self._writer.write, data)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._writer.close)

    def cut(self) -> None:
        """Hang up as a killed process does."""
        self._cut.add(self.request)
        self._loop.call_soon_threadsafe(self._writer.transport.abort)


class ScriptedServer:
    """Serves ``pages`` and hands every live request to its handler in ``on`` and, for the test, to ``next(kind)``."""

    def __init__(self, scripts: dict[str, Path]) -> None:
        script = STATIC / "htmx-live.js"
        others = {
            f"/{name}": STATIC / name
            for name in ("htmx-live.css", "upload.js", "plain.js", "progress.js", "notices.js")
        }
        self.files = {"/htmx-live.js": script, **others, **scripts}
        self.pages: dict[str, str] = {}
        self.page_headers: dict[str, str] = {}
        self.violations: list[str] = []
        self._cut: set[tuple[bytes, bytes]] = set()  # the requests that were
        self.queues: dict[str, Queue[Exchange]] = {kind: Queue() for kind in ("event", "stream", "sync", "other")}
        self.on: dict[str, Callable[[Exchange], None]] = {
            "event": lambda exchange: None,
            "stream": lambda exchange: exchange.start_stream(),
            "sync": lambda exchange: exchange.answer(status=204),
            "other": lambda exchange: exchange.answer("", status=404),
        }
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def next(self, kind: str) -> Exchange:
        """The oldest request of that kind which the test has not seen yet; waits for it."""
        return self.queues[kind].get(timeout=10)

    def count(self, kind: str) -> int:
        """How many requests of that kind wait to be seen."""
        return self.queues[kind].qsize()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._close(server))
        self._loop.close()

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for _ in range(5):  # transports close in the loop's next rounds
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            exchange = Exchange(head, await reader.readexactly(length), writer, self._cut)
            self._route(exchange)
            await reader.read()
            exchange.closed.set()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _route(self, exchange: Exchange) -> None:
        if file := self.files.get(exchange.path):
            exchange.answer(file.read_text(), Content_Type=TYPES[file.suffix])
        elif exchange.path in self.pages:
            exchange.answer(self.pages[exchange.path], Content_Security_Policy=CSP, **self.page_headers)
        elif exchange.path == "/csp/":
            self.violations.append(exchange.body.decode())
            exchange.answer(status=204)
        elif "x-live-nonce" in exchange.headers and exchange.request in self._cut:
            # Chromium repeats a request whose connection stood idle before it was cut.  What the script sends again is
            # not the same to the byte: it names another source.
            exchange.cut()
        else:
            kind = next((kind for kind in ("event", "stream", "sync") if f"/{kind}/" in exchange.path), "other")
            self.queues[kind].put(exchange)
            self.on[kind](exchange)
