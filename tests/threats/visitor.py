"""Visitors without our script: every request is written by hand, CSRF checks included."""

import json
import re
from dataclasses import asdict, dataclass, replace
from html import unescape
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client

from htmx_live.core.records import Record
from htmx_live.runtime.services import services

__all__ = ["Page", "Visitor", "record_of", "somebody", "written"]


class Visitor:
    """One cookie jar; ``user`` is logged in when given."""

    def __init__(self, user: Any = None, **options: Any) -> None:
        self.http = Client(enforce_csrf_checks=True, raise_request_exception=False, **options)
        if user is not None:
            self.http.force_login(user)

    def open(self, path: str = "/counter/") -> "Page":
        """Load the page at ``path``, which shows one live view."""
        # Django's client would take two slashes for a host.
        answer = self.http.get("/", PATH_INFO=path) if path.startswith("//") else self.http.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return Page.of(self, answer.content.decode())


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page's source tells; ``live`` and ``page`` are the grants of its view and its own."""

    visitor: Visitor
    html: str
    instance: str
    live: str
    page: str
    csrf: str
    number: str

    @classmethod
    def of(cls, visitor: Visitor, html: str) -> "Page":
        return cls(
            visitor=visitor,
            html=html,
            instance=_attribute(html, "id", "live-[0-9a-f]{32}").removeprefix("live-"),
            live=_attribute(html, "data-live"),
            page=_attribute(html, "data-page"),
            csrf=_attribute(html, "data-csrf"),
            number=_attribute(html, "data-number"),
        )

    def seen_by(self, other: Visitor) -> "Page":
        """This page in the hands of somebody else, who has a CSRF token of their own."""
        return replace(self, visitor=other, csrf=other.open("/counter/").csrf)

    def event(self, handler: str, values: Any = None, *, form: Any = None, **headers: Any) -> HttpResponse:
        """Post an event; ``headers`` change what the script would send, None leaves one out."""
        body = dict(form or {}) | ({} if values is None else {"_args": _text(values)})
        return self.visitor.http.post(f"/live/event/{handler}/", body, headers=self._headers(headers))

    def sync(self, question: Any = None, **headers: Any) -> HttpResponse:
        """Ask; ``question`` is the body, or what differs from a plain one."""
        plain = {"number": self.number, "roots": [{"live": self.live, "rev": 1}]}
        body = plain | question if isinstance(question, dict) else plain if question is None else question
        return self.visitor.http.post(
            "/live/sync/", body, content_type="application/json", headers=self._headers(headers)
        )

    def _headers(self, changed: dict[str, Any]) -> dict[str, str]:
        usual = {"X_Live": self.live, "X_Live_Page": self.page, "X_Live_Rev": "1", "X_CSRFToken": self.csrf}
        chosen = {**usual, **changed}
        return {name.replace("_", "-"): value for name, value in chosen.items() if value is not None}


def record_of(page: Page) -> Record | None:
    loaded = services().store.load(page.instance)
    return loaded.record if loaded else None


def written(page: Page) -> str:
    """The page's record with its mail, as text: equal when nothing was changed."""
    loaded = services().store.load(page.instance)
    assert loaded is not None, "There is no record to compare."
    return json.dumps(asdict(loaded))


def somebody(name: str, **fields: Any) -> Any:
    return get_user_model().objects.create_user(name, **fields)


def _text(values: Any) -> str:
    return values if isinstance(values, str) else json.dumps(values)


def _attribute(html: str, name: str, pattern: str = '[^"]*') -> str:
    found = re.search(rf'\s{name}="({pattern})"', html)
    return unescape(found[1]) if found else ""
