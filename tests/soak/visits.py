"""Visits: what one visitor does from the first page to the last, and what must be true meanwhile.

Every kind of visit ends in its own way: quietly, by breaking off in the middle, by a reload that takes the view over,
or by logging out.
"""

import asyncio
import json
import random
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from html import unescape
from urllib.parse import urlencode, urlsplit

from htmx_live.testing.page import ShownPage, get_rev
from tests.faults.followers import same
from tests.soak import LINES
from tests.soak.client import Answer, Client, Lost, Outcome, Stream

__all__ = ["KINDS", "visit"]

SETTLES = 30.0  # seconds until a page must show what it should
CLICKS = 5
_ATTRIBUTE = r'\s{}="([^"]*)"'


class Page:
    """One loaded page: it keeps a stream open, applies what comes, and asks ``sync`` as the script does."""

    def __init__(self, client: Client, answer: Answer) -> None:
        self.client, self.source = client, answer.text
        self.shown = ShownPage(answer.text)
        self.number = self.attribute("data-number")
        self.is_up = self.is_closed = self.is_signed_out = False
        self.notices = 0
        self.done = ""  # what a card of progress said at its end
        self._changed = asyncio.Event()

    @classmethod
    async def load(cls, client: Client, path: str) -> "Page":
        answer = await client.send("GET", path)
        if answer.status != 200:
            raise Lost(f"GET {path} was answered {answer.status}")
        return cls(client, answer)

    def attribute(self, name: str) -> str:
        found = re.search(_ATTRIBUTE.format(name), self.source)
        assert found is not None, (name, self.source)
        return unescape(found[1])

    @property
    def text(self) -> str:
        """What the page shows between brackets."""
        found = re.search(r"\[[^\]]*\]", self.shown.html)
        return found[0] if found else ""

    # Requests

    async def click(self, handler: str) -> None:
        root = self.shown.root.attributes
        headers = {"X-Live": root["data-live"], "X-Live-Rev": root["data-live-rev"]}
        answer = await self._post(
            f"/live/event/{handler}/",
            urlencode({"_args": "{}"}),
            "application/x-www-form-urlencoded",
            **{**headers, "X-Live-Nonce": secrets.token_hex(16)},
        )
        if answer.status not in (200, 204):
            raise Lost(f"the event {handler} was answered {answer.status}")
        if "x-live-remounted" in answer.headers:
            raise Lost("a view in use was mounted again")
        self._show(answer.text)

    async def sync(self, *, rev: int | None = None, adopt: str = "", everything: bool = False) -> Answer:
        """What the page lacks; ``rev`` is claimed for its root.  ``everything`` is asked for after a reset."""
        roots = [
            {"live": root.attributes["data-live"], "rev": int(root.attributes["data-live-rev"]) if rev is None else rev}
            for root in self.shown.roots()
        ]
        number = "" if everything else self.number
        question = {"number": number, "roots": roots, "adopt": [adopt] if adopt else [], "poll": everything}
        answer = await self._post("/live/sync/", json.dumps(question), "application/json")
        if answer.status not in (200, 204):
            raise Lost(f"sync was answered {answer.status}")
        return answer

    async def _post(self, path: str, body: str, kind: str, **headers: str) -> Answer:
        given = {"X-Live-Page": self.attribute("data-page"), "X-CSRFToken": self.attribute("data-csrf")}
        return await self.client.send("POST", path, body, **{**given, "Content-Type": kind, **headers})

    # Stream

    @asynccontextmanager
    async def streaming(self):
        """Read the page's stream while the block runs; it is open when the block begins."""
        reading = asyncio.create_task(self._keep_reading())
        try:
            await self.until(lambda: self.is_up or reading.done(), "its stream open")
            yield
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _keep_reading(self) -> None:
        """Reopen the stream after each ``bye``, and after a pause when the server is busy, until it is refused."""
        while not self.is_closed:
            headers = {"X-Live-Page": self.attribute("data-page"), "Last-Event-ID": self.number}
            async with self.client.stream("/live/stream/", **headers) as stream:
                is_busy = stream.status in (429, 503)
                self.is_closed = stream.status != 200 and not is_busy
                self.client.outcome.count("live/stream", stream.status, is_expected=self.is_signed_out)
                if stream.status == 200:
                    await self._read(stream)
            self._changed.set()
            if is_busy:
                await asyncio.sleep(1)

    async def _read(self, stream: Stream) -> None:
        while not self.is_closed and (event := await stream.event()):
            self.number = event.id or self.number
            if event.name == "hello":
                self.is_up = True
            elif event.name == "append":
                if not self.shown.append_text(json.loads(event.data)):
                    self.shown.reset_rev(self.shown.root.attributes["id"])
                    self._show((await self.sync(rev=0)).text)
            elif event.name == "notice":
                self.notices += 1
            elif event.name == "reset":
                self.client.outcome.resets += 1
                self._show((await self.sync(everything=True)).text)
            elif event.name == "" and event.data:
                self._show(event.data)
            self._changed.set()

    def _show(self, text: str) -> None:
        if self.shown.html:
            self.shown.apply(text)
        found = re.search(_ATTRIBUTE.format("data-live-done"), text)
        self.done = found[1] if found else self.done
        self._changed.set()

    # What must be so

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + SETTLES
        while not is_so():
            self._changed.clear()
            if time.monotonic() > give_up:
                raise Lost(f"a page did not have {what} within {SETTLES:g} s, it shows {self.text!r}")
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        """Until something has come, or half a second has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):  # wait_for() may swallow a cancel
                await self._changed.wait()

    async def shows_what_the_server_renders(self) -> None:
        """What the stream brought must be as new as what a page that lacks everything would get now, and equal to it.

        A shared view changes all the time: what has gone by is compared by its rev alone.
        """
        rendered = ShownPage(self.shown.html)
        rendered.reset_rev(rendered.root.attributes["id"])
        rendered.apply((await self.sync(rev=0)).text)
        await self.until(lambda: get_rev(self.shown.root) >= get_rev(rendered.root), f"rev {get_rev(rendered.root)}")
        is_same_rev = get_rev(self.shown.root) == get_rev(rendered.root)
        if is_same_rev and not same(rendered.html, self.shown.html):
            raise Lost(_difference(self.shown.html, rendered.html))


def _difference(shown: str, rendered: str) -> str:
    pairs = enumerate(zip(shown, rendered, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), min(len(shown), len(rendered)))
    start = max(0, at - 80)
    return f"a page shows {shown[start : at + 200]!r} where the server renders {rendered[start : at + 200]!r}"


# Kinds of visits


async def _desk(client: Client) -> Page:
    """Clicks, a job with a text stream, and a notice, all of which must arrive."""
    page = await Page.load(client, "/desk/")
    async with page.streaming():
        for _ in range(CLICKS):
            await page.click("click")
            await _think()
        await page.click("write")
        await page.until(lambda: "1 jobs" in page.text, "its job done")
        await page.click("tell")
        await page.until(lambda: page.notices > 0, "its notice")
        await page.until(lambda: page.text == f"[{CLICKS + 1} clicks, 1 jobs.]", "all its clicks")
        await page.until(lambda: page.shown.html.count("of this job") == LINES, "the whole text of its job")
        await page.shows_what_the_server_renders()
    return page


async def _desk_left(client: Client) -> None:
    await _desk(client)


async def _desk_reloaded(client: Client) -> None:
    """The second load takes the view of the first one over."""
    before = await _desk(client)
    page = await Page.load(client, "/desk/")
    async with page.streaming():
        page._show((await page.sync(adopt=before.shown.root.attributes["data-live"])).text)
        await page.click("click")
        await page.until(lambda: page.text == f"[{CLICKS + 2} clicks, 1 jobs.]", "what it showed before its reload")
        await page.shows_what_the_server_renders()


async def _desk_signed_out(client: Client) -> None:
    """The stream of a user ends with the session."""
    await _sign_in(client)
    page = await Page.load(client, "/desk/")
    async with page.streaming():
        await page.click("click")
        page.is_signed_out = True
        await _expect(await client.send("POST", "/sign-out/"), 204)
        await page.until(lambda: page.is_closed, "its stream closed by the logout")


async def _desk_abandoned(client: Client) -> None:
    """Everything breaks off while a job runs and a click is under way."""
    page = await Page.load(client, "/desk/")
    async with page.streaming():
        await page.click("write")
        clicking = asyncio.create_task(page.click("click"))
        await asyncio.sleep(0)  # it is sent, and its answer is never read
        clicking.cancel()
        with suppress(asyncio.CancelledError, Lost):
            await clicking


async def _board(client: Client) -> None:
    """A shared view, which all visitors change."""
    page = await Page.load(client, "/board/")
    async with page.streaming():
        for _ in range(CLICKS):
            await page.click("click")
            await _think()
        await page.shows_what_the_server_renders()


async def _card(client: Client) -> None:
    """Work with progress, followed on a page by its card."""
    await _sign_in(client)
    answer = await _expect(await client.send("POST", "/start/", Accept="application/json"), 202)
    page = await Page.load(client, f"/card/{json.loads(answer.text)['session_id']}/")
    page._show(page.source)
    async with page.streaming():
        await page.until(lambda: page.done == "complete", "the end of its work")


async def _snapshots(client: Client) -> None:
    """Work with progress, followed by a client's own event stream."""
    answer = await _expect(await client.send("POST", "/start/", Accept="application/json"), 202)
    path, last = urlsplit(answer.headers["location"]).path, {}
    async with client.stream(path) as stream:
        client.outcome.count("live/progress (stream)", stream.status)
        while stream.status == 200 and (event := await stream.event()):
            last = json.loads(event.data) if event.data else last
    now = json.loads((await _expect(await client.send("GET", path, Accept="application/json"), 200)).text)
    if (last.get("status"), now["status"]) != ("complete", "complete"):
        raise Lost(f"an event stream of progress ended with {last.get('status')}, and the server says {now['status']}")


async def _sign_in(client: Client) -> None:
    await _expect(await client.send("POST", f"/sign-in/{random.randrange(50)}/"), 204)


async def _expect(answer: Answer, status: int) -> Answer:
    if answer.status != status:
        raise Lost(f"an answer was {answer.status} in the place of {status}")
    return answer


async def _think() -> None:
    """Let some time pass, as a user does between two clicks."""
    await asyncio.sleep(random.uniform(0.05, 0.4))


KINDS: dict[str, Callable[[Client], Awaitable[None]]] = {
    "desk, left": _desk_left,
    "board": _board,
    "card": _card,
    "desk, reloaded": _desk_reloaded,
    "snapshots": _snapshots,
    "desk, abandoned": _desk_abandoned,
    "desk, signed out": _desk_signed_out,
}


async def visit(number: int, port: Callable[[], int], outcome: Outcome) -> None:
    """The visit with this number; what goes wrong is counted in ``outcome``."""
    kind = list(KINDS)[number % len(KINDS)]
    outcome.visits[kind] += 1
    with Client(port, outcome) as client:
        try:
            await KINDS[kind](client)
        except (Lost, OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
            outcome.lose(kind, str(error) or repr(error))
