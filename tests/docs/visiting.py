"""Somebody at a page of a real server, who sends events and asks for news as the script would."""

import json
import re
import time
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener
from uuid import uuid4

from tests.server import PATIENCE, Server

__all__ = ["Visit"]


class Visit:
    """A page with one live view.  ``html`` is what the server has said last."""

    def __init__(self, server: Server, path: str = "/") -> None:
        self._url, self._jar = server.url, CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._jar))
        self.html = self.open(path)
        self._page = self._read(r'data-page="([^"]+)"')
        self._number = self._read(r'data-number="([^"]*)"')
        self._grant, self._rev = self._root()

    def open(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> str:
        """The answer to a request; with a ``body`` it is one of the page's live view."""
        known = {} if body is None else {"X-Live-Page": self._page, "X-Live": self._grant, "HX-Request": "true"}
        token = {cookie.name: cookie.value or "" for cookie in self._jar}.get("csrftoken", "")
        request = Request(self._url + path, body, {"X-CSRFToken": token, **known, **(headers or {})})
        with self._opener.open(request, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def click(self, handler: str, **values: Any) -> str:
        """The answer to an event."""
        body = urlencode({"_args": json.dumps(values)}).encode()
        return self._take(self.open(f"/live/event/{handler}/", body, {"X-Live-Nonce": uuid4().hex}))

    def wait_for(self, text: str) -> str:
        """Ask until what is shown holds ``text``."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.html:
            assert time.monotonic() < give_up, f"{text!r} never came. The page has:\n{self.html}"
            time.sleep(0.05)  # as a page without a stream asks: there is nothing else to wait for
            root = {"live": self._grant, "rev": self._rev}
            asked = {"number": self._number, "roots": [root], "streams": {}, "adopt": [], "poll": True}
            self._take(self.open("/live/sync/", json.dumps(asked).encode(), {"Content-Type": "application/json"}))
        return self.html

    def _take(self, answer: str) -> str:
        if "data-live-rev" in answer:
            self.html = answer
            self._grant, self._rev = self._root()
        return answer

    def _root(self) -> tuple[str, int]:
        return self._read(r'<\w+ id="live-\w+" data-live="([^"]+)"'), int(self._read(r'data-live-rev="(\d+)"'))

    def _read(self, pattern: str) -> str:
        found = re.search(pattern, self.html)
        assert found, f"The page has no {pattern}:\n{self.html}"
        return found[1]
