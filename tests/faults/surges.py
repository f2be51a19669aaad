"""Many requests at one moment, each on a connection of its own that is open before the first is sent."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.faults.viewers import LoadedPage

__all__ = ["Answered", "Request", "click", "load", "send_at_once", "sync"]

PATIENCE = 120.0  # seconds until a server that does not answer fails the test
_OPENING = 100  # connections that are opened at once: a server's backlog is bounded


@dataclass(frozen=True)
class Request:
    """One HTTP request, as text; ``name`` says what it is."""

    name: str
    text: str


@dataclass(frozen=True)
class Answered:
    name: str
    status: int
    seconds: float


def click(page: LoadedPage, handler: str = "click", **arguments: str) -> Request:
    body = urlencode({"_args": json.dumps(arguments)})
    headers = {"X-Live": page.attribute("data-live"), "Content-Type": "application/x-www-form-urlencoded"}
    return _post("click", page, f"/live/event/{handler}/", body, headers)


def sync(page: LoadedPage) -> Request:
    body = json.dumps({"number": page.attribute("data-number"), "roots": [], "poll": True})
    return _post("sync", page, "/live/sync/", body, {"Content-Type": "application/json"})


def load(path: str) -> Request:
    return Request("load", f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


async def send_at_once(port: int, requests: Sequence[Request], *, into: list[Answered] | None = None) -> list[Answered]:
    """Send all requests at one moment; their answers, which are added to ``into`` as they come."""
    answers = [] if into is None else into
    opening = asyncio.Semaphore(_OPENING)
    are_open, go = asyncio.Semaphore(0), asyncio.Event()

    async def ask(request: Request) -> None:
        async with opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        are_open.release()
        await go.wait()
        began = time.monotonic()
        writer.write(request.text.encode())
        first = await reader.readline()
        await reader.read()
        writer.close()
        answers.append(Answered(request.name, int(first.split()[1]), time.monotonic() - began))

    tasks = [asyncio.create_task(ask(request)) for request in requests]
    for _ in tasks:
        await are_open.acquire()
    go.set()
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
    return answers


def _post(name: str, page: LoadedPage, path: str, body: str, headers: dict[str, str]) -> Request:
    given = {
        "Host": "localhost",
        "Connection": "close",
        "X-Live-Page": page.attribute("data-page"),
        "X-CSRFToken": page.attribute("data-csrf"),
        "Cookie": page.cookie,
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{key}: {value}" for key, value in given.items())]
    return Request(name, "\r\n".join([*lines, "", body]))
