"""A browser of its own on a real server: cookies, pages and streams, spoken by hand."""

import asyncio
from typing import Any
from urllib.request import HTTPCookieProcessor, Request, build_opener

from tests.http.client import RawStream
from tests.threats.visitor import Page

__all__ = ["Browser"]

PATIENCE = 20.0  # seconds


class Browser:
    """One cookie jar.  Streams are opened with its cookies and closed with ``async with``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._cookies = HTTPCookieProcessor()
        self._opener = build_opener(self._cookies)
        self._streams: list[RawStream] = []

    async def get(self, path: str) -> str:
        return await asyncio.to_thread(self._fetch, Request(f"http://127.0.0.1:{self.port}{path}"))

    def cookie(self, name: str) -> str:
        [found] = [cookie for cookie in self._cookies.cookiejar if cookie.name == name]
        return str(found.value)

    async def open(self, path: str) -> Page:
        return Page.of(self, await self.get(path))  # type: ignore[arg-type]

    async def post(self, page: Page, handler: str, **form: str) -> str:
        headers = {"X-Live": page.live, "X-Live-Page": page.page, "X-CSRFToken": page.csrf}
        body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
        address = f"http://127.0.0.1:{self.port}/live/event/{handler}/"
        return await asyncio.to_thread(self._fetch, Request(address, body, headers, method="POST"))

    async def stream(self, grant: str, path: str = "/live/stream/", **headers: str) -> RawStream:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies.cookiejar)
        stream = await RawStream.open(self.port, path, x_live_page=grant, cookie=cookies, **headers)
        self._streams.append(stream)
        return stream

    def _fetch(self, request: Request) -> str:
        with self._opener.open(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await asyncio.gather(*(stream.close() for stream in self._streams))
