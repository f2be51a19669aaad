"""Viewers of a real server: pages that are loaded, and their streams read as the script reads them."""

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.http.client import RawStream

__all__ = ["LoadedPage", "Viewer", "ask", "load_page", "push"]

PATIENCE = 60.0  # seconds until a server that does not answer fails the test
_ROOT = re.compile(r'<div id="live-\w+" data-live="[^"]*" data-live-rev="(\d+)".*', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class LoadedPage:
    """What the source of a page with one live view tells."""

    port: int
    html: str
    cookie: str

    def attribute(self, name: str) -> str:
        found = re.search(rf'\s{name}="([^"]*)"', self.html)
        assert found is not None, (name, self.html)
        return found[1]

    @property
    def stream_headers(self) -> dict[str, str]:
        headers = {"x_live_page": self.attribute("data-page"), "last_event_id": self.attribute("data-number")}
        return {**headers, "cookie": self.cookie} if self.cookie else headers

    def event(self, handler: str, **arguments: Any) -> int:
        """Post an event; the answer's status."""
        return _request(self.port, "POST", *self._event(handler, arguments))[0]

    @contextmanager
    def post(self, handler: str, **arguments: Any) -> Iterator[None]:
        """Post an event, and leave without having read the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("POST", *self._event(handler, arguments))
            yield

    def _event(self, handler: str, arguments: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
        """Path, body and headers."""
        headers = {
            "X-Live": self.attribute("data-live"),
            "X-Live-Page": self.attribute("data-page"),
            "X-CSRFToken": self.attribute("data-csrf"),
            "Cookie": self.cookie,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"_args": json.dumps(arguments)})
        return f"/live/event/{handler}/", body, headers


def load_page(port: int, path: str) -> LoadedPage:
    status, html, cookie = _request(port, "GET", path)
    assert status == 200, (path, status)
    return LoadedPage(port=port, html=html, cookie=cookie)


def push(port: int, *pushes: dict[str, Any]) -> list[int]:
    """Let the server push; how many instances each was for."""
    status, text, _ = _request(port, "POST", "/push/", json.dumps(pushes))
    assert status == 200, text
    counts: list[int] = json.loads(text)["counts"]
    return counts


def ask(port: int, path: str = "/census/") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_request(port, "GET", path)[1])
    return answer


def _request(
    port: int, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Status, body and the cookies that are set."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        cookies: SimpleCookie = SimpleCookie()
        for value in answer.headers.get_all("Set-Cookie") or []:
            cookies.load(value)
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
        return answer.status, answer.read().decode(), cookie


class Viewer:
    """A page with its stream open; ``html`` is its root as the page shows it."""

    def __init__(self, page: LoadedPage, stream: RawStream) -> None:
        self.page, self.stream = page, stream
        self.html = page.html
        self.rev = int(page.attribute("data-live-rev"))
        self.renders = 0  # that the stream has brought

    @classmethod
    async def open(cls, port: int, path: str, *, buffer: int = 0) -> "Viewer":
        """``buffer`` limits, in bytes, what the system takes in for a client that does not read."""
        page = await asyncio.to_thread(load_page, port, path)
        if not buffer:
            return cls(page, await RawStream.open(port, **page.stream_headers))
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", port))
        ends = await asyncio.open_connection(sock=narrow, limit=buffer)
        return cls(page, await RawStream.on(*ends, **page.stream_headers))

    async def until(self, text: str | Callable[[str], bool]) -> "Viewer":
        """Read until the page shows ``text``, or what it says yes to; fails when nothing comes any more."""
        while not (text in self.html if isinstance(text, str) else text(self.html)):
            event = await self.stream.event()
            assert event is not None, "the stream has ended"
            if event.name == "":
                self._show(event.data)
            assert event.name != "reset", "the page would have to ask"
        return self

    def _show(self, data: str) -> None:
        found = _ROOT.search(data)
        if found is not None:
            self.renders += 1
            if int(found[1]) > self.rev:
                self.rev, self.html = int(found[1]), found[0]

    async def close(self) -> None:
        await self.stream.close()
