"""Pages without a browser that do what the script does: they keep a stream open, catch up, and ask `sync`.

away ── 200 ──▶ listening ── cut, or silent for 2.5 heartbeats ──▶ away, after a pause with jitter
                    │ bye ──▶ away, after at most a second
                    └ reset ──▶ sync for everything, the stream goes on
"""

import asyncio
import http.client
import json
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Any
from urllib.parse import urlencode

from htmx_live.testing.page import ShownPage
from tests.faults.viewers import LoadedPage, load_page
from tests.http.client import RawStream

__all__ = ["Answer", "Follower", "following", "same"]

PATIENCE = 60.0  # seconds until a page that does not show what it should fails the test
_GRANT = re.compile(r' data-live="[^"]*"')


class Answer:
    """``seconds`` is how long it took."""

    def __init__(self, status: int, headers: Any, text: str, seconds: float) -> None:
        self.status, self.headers, self.text, self.seconds = status, headers, text, seconds


class Follower:
    """One page; ``html`` is what it shows, ``revs`` are those that it has shown, in order."""

    def __init__(self, page: LoadedPage, *, heartbeat: float) -> None:
        self.page, self.heartbeat = page, heartbeat
        self.shown = ShownPage(page.html)
        self.number = page.attribute("data-number")
        self.revs = [self._rev()]
        self.ups = self.resets = self.remounts = 0
        self.is_up = False
        self.said: list[str] = []  # events other than partials
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    @classmethod
    async def open(cls, port: int, path: str = "/Desk/", *, heartbeat: float = 1.0) -> "Follower":
        follower = cls(await asyncio.to_thread(load_page, port, path), heartbeat=heartbeat)
        return await follower.until(lambda: follower.is_up)

    @property
    def html(self) -> str:
        return self.shown.html

    async def until(self, is_so: str | Callable[[], bool], *, within: float = PATIENCE) -> "Follower":
        """Wait until the page shows a text, or something else is so."""
        give_up = time.monotonic() + within
        while not (is_so in self.html if isinstance(is_so, str) else is_so()):
            self._changed.clear()
            left = give_up - time.monotonic()
            assert left > 0, f"Not within {within:g} s: {is_so!r}; up: {self.is_up}, the page shows {self.html}"
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, 0.1))
        return self

    async def send(self, handler: str, **arguments: Any) -> Answer:
        """An event of its user; what it answers is shown."""
        root = self.shown.root
        headers = {"X-Live": root.attributes["data-live"], "X-Live-Rev": root.attributes["data-live-rev"]}
        body = urlencode({"_args": json.dumps(arguments)})
        answer = await self._post(f"/live/event/{handler}/", body, "application/x-www-form-urlencoded", **headers)
        if answer.status == 200:
            self._show(answer.text)
        self.remounts += int(answer.headers.get("X-Live-Remounted") or 0)
        return answer

    async def ask(self, *, rev: int | None = None, everything: bool = False) -> Answer:
        """What `sync` says to this page; ``rev`` is claimed for its root."""
        roots = [
            {"live": root.attributes["data-live"], "rev": int(root.attributes["data-live-rev"]) if rev is None else rev}
            for root in self.shown.roots()
        ]
        question = {"number": "" if everything else self.number, "roots": roots, "poll": everything}
        return await self._post("/live/sync/", json.dumps(question), "application/json")

    async def shows_what_the_server_would(self) -> bool:
        """Whether it shows exactly what a page that lacks everything would be sent now."""
        answer = await self.ask(rev=0)
        whole = ShownPage(self.html)
        whole.reset_rev(whole.root.attributes["id"])
        whole.apply(answer.text)
        return answer.status == 200 and same(whole.html, self.html)

    async def close(self) -> None:
        while not self._task.done():  # asyncio.wait_for may swallow a cancel that comes with an answer
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.2)

    async def _post(self, path: str, body: str, kind: str, **headers: str) -> Answer:
        given = {
            "X-Live-Page": self.page.attribute("data-page"),
            "X-CSRFToken": self.page.attribute("data-csrf"),
            "Cookie": self.page.cookie,
            "Content-Type": kind,
            **headers,
        }
        return await asyncio.to_thread(_posted, self.page.port, path, body, given)

    # The stream

    async def _follow(self) -> None:
        tries = 0
        while True:
            word = ""
            with suppress(OSError, EOFError, TimeoutError, ValueError, IndexError):
                word = await self._listen()
            tries = 0 if self.is_up else tries + 1
            self.is_up = False
            self._changed.set()
            pause = random.random() if word == "bye" else min(2.0, 0.25 * 2**tries) * random.uniform(0.5, 1)
            await asyncio.sleep(pause)

    async def _listen(self) -> str:
        headers = {**self.page.stream_headers, "last_event_id": self.number}
        stream = await asyncio.wait_for(RawStream.open(self.page.port, **headers), 10)
        try:
            if stream.status != 200:
                if stream.status in (401, 404):
                    await self._catch_up()
                return ""
            while event := await asyncio.wait_for(stream.event(), 2.5 * self.heartbeat):
                self.number = event.id or self.number
                if event.name == "bye":
                    return "bye"
                if event.name == "reset":
                    self.resets += 1
                    await self._catch_up()
                elif event.name == "sync":
                    await self._catch_up()
                elif event.name == "hello":
                    self.is_up = True
                    self.ups += 1
                elif event.name:
                    self.said.append(event.data)
                else:
                    self._show(event.data)
                self._changed.set()
            return ""
        finally:
            stream.writer.transport.abort()

    async def _catch_up(self) -> None:
        answer = await self.ask(everything=True)
        self.remounts += int(answer.headers.get("X-Live-Remounted") or 0)
        self._show(answer.text)

    def _show(self, text: str) -> None:
        self.shown.apply(text)
        if self._rev() != self.revs[-1]:
            self.revs.append(self._rev())
        self._changed.set()

    def _rev(self) -> int:
        return int(self.shown.root.attributes["data-live-rev"])


def same(one: str, other: str) -> bool:
    """Whether two renders differ in nothing but how their grants were signed."""
    return _GRANT.sub("", one) == _GRANT.sub("", other)


def _posted(port: int, path: str, body: str, headers: dict[str, str]) -> Answer:
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode(), time.monotonic() - began)


@asynccontextmanager
async def following(port: int, paths: Sequence[str], *, heartbeat: float = 1.0) -> AsyncIterator[list[Follower]]:
    """A page of its own visitor for each path."""
    opened: list[Follower] = []
    try:
        for path in paths:
            opened.append(await Follower.open(port, path, heartbeat=heartbeat))
        yield opened
    finally:
        for follower in opened:
            await follower.close()
