"""``LiveClient``: a page with one live view, as its user and its script would handle it.

It speaks docs/wire.md with the real endpoints through Django's test client.  Jobs wait for ``run_jobs()``; what is
pushed arrives at once while the page is connected, and by the rule of convergence when it reconnects.

Django's test client on the project's URLs and one more: the place where a test mounts its view.
"""

import json
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest
from django.test import Client
from django.test.client import ClientHandler
from django.urls import get_resolver
from django.urls import path as route

from htmx_live.backends.wire import SYNC, BusMessage, page_channel
from htmx_live.core.conf import settings
from htmx_live.core.signing import random_id, unsign_page
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode_state
from htmx_live.runtime.ticks import post_tick
from htmx_live.runtime.variants import subscribed_channels
from htmx_live.testing.environment import current_environment
from htmx_live.testing.page import Element, ShownPage, get_rev, parse
from htmx_live.views.live_view import LiveView

__all__ = ["LiveClient", "PageClient"]


class PageClient(Client):
    """Django's test client on the project's URLs and one more."""

    def __init__(self, view: type[LiveView], path: str, kwargs: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        view_route = route(urlsplit(path).path.lstrip("/"), view.as_view(**kwargs))
        urls = ModuleType("htmx_live_test_urls")
        urls.__dict__["urlpatterns"] = [view_route, *get_resolver().url_patterns]
        self.handler = _Handler(urls)


class _Handler(ClientHandler):
    def __init__(self, urlconf: Any) -> None:
        super().__init__(enforce_csrf_checks=False)
        self._urlconf = urlconf

    def get_response(self, request: HttpRequest) -> Any:
        request.urlconf = self._urlconf
        return super().get_response(request)


_MESSAGES = re.compile(r"<script[^>]* data-live-messages>(.*?)</script>", re.DOTALL)


class LiveClient:
    """Mounts ``view`` with ``kwargs`` at ``path``, as ``user`` (None: a visitor).

    ``raise_errors=False`` gives the statuses that a browser would get in the place of exceptions.
    """

    def __init__(
        self, view: type[LiveView], *, user: Any = None, path: str = "/", raise_errors: bool = True, **kwargs: Any
    ) -> None:
        self._environment = current_environment()
        self._raise_errors = raise_errors
        self.http = PageClient(view, path, kwargs, raise_request_exception=raise_errors)
        if user is not None:
            self.http.force_login(user)
        self.fragments: list[str] = []
        self.notices: list[dict[str, str]] = []
        self.redirected_to = ""
        self.status = 0
        self.answer = ""  # the body of the last answer
        self.address = ""  # what the last answer puts into the address bar, after "push " or "replace "
        self._shown_page = ShownPage()
        self._is_sync_due = False
        self.is_remounted = False
        self.is_connected = self._is_live = False
        self._path = path
        self._position = self._base_url = self._page_grant = ""
        self._channels: list[str] = []
        self.reload(adopt=False)

    # What a test reads

    @property
    def html(self) -> str:
        """The root element as the page shows it, with its children."""
        return self._synced_page.html

    @property
    def text(self) -> str:
        """The text of the root element, white space folded."""
        return parse(self._synced_page.html).text

    @property
    def state(self) -> dict[str, Any]:
        """The state in the store, by attribute."""
        loaded = services().store.load(self.instance)
        if loaded is None:
            raise LookupError(f"There is no record of {self._path} any more: it has expired, or was mounted anew.")
        return decode_state(loaded.record.state)

    @property
    def rev(self) -> int:
        """The rev that the page shows."""
        return get_rev(self._synced_page.root)

    @property
    def instance(self) -> str:
        return self._synced_page.root.attributes["id"].removeprefix("live-")

    @property
    def pending(self) -> list[tuple[str, ...]]:
        """The running jobs that the page knows of: (handler, name) or (handler, name, key)."""
        tokens = self._synced_page.root.attributes.get("data-live-pending", "").split()
        return [tuple(unquote(part) for part in word.split(":")) for word in tokens]

    def is_loading(self, name: str, key: Any = None) -> bool:
        """Whether the page shows loading for a handler's or a job's name, after what has arrived so far."""
        wanted = None if key is None else str(key)
        return any(
            name in job[:2] and (wanted is None or wanted == (job[2] if len(job) > 2 else None)) for job in self.pending
        )

    # What a user does

    def click(self, handler: str, **values: Any) -> "LiveClient":
        """Click the element that calls ``handler`` with ``values``; it must be there and enabled."""
        return self.trigger("click", handler, **values)

    def change(self, handler: str, **values: Any) -> "LiveClient":
        """Change the control that calls ``handler``; ``value=`` is its new value."""
        return self.trigger("change", handler, **values)

    def submit(self, handler: str, **values: Any) -> "LiveClient":
        """Fill ``values`` into the form that calls ``handler``, and submit it."""
        return self.trigger("submit", handler, **values)

    def trigger(self, event: str, handler: str, **values: Any) -> "LiveClient":
        """Let ``event`` happen on the element that calls ``handler``."""
        element, remaining = self._find_trigger(event, handler, values)
        form = element if element.tag == "form" else element.closest_tag("form")
        body: dict[str, Any] = dict((form or element).form_values())  # htmx sends the whole form around a trigger
        body.update(remaining)
        if "data-live-args" in element.attributes:
            body["_args"] = element.attributes["data-live-args"]
        return self.send(handler, body, root=element.closest_with_attribute("data-live").attributes["id"])

    def send(self, handler: str, body: dict[str, Any], *, nonce: str = "", root: str = "") -> "LiveClient":
        """Post an event as it is, whether or not the page has a trigger for it.

        ``root`` is the id of the root that it comes from; by default the outermost.
        """
        sender = self._synced_page.find_root(root) if root else self._synced_page.root
        body = {name: value for name, value in body.items() if value is not None}
        self.nonce = nonce or random_id()
        headers = {
            "X-Live": sender.attributes["data-live"],
            "X-Live-Rev": str(get_rev(sender)),
            "X-Live-Nonce": self.nonce,
        }
        self._apply_response(
            self.http.post(f"{self._base_url}event/{handler}/", body, headers={**headers, **self._page_headers()})
        )
        return self

    def run_jobs(self, *, raise_errors: bool | None = None) -> int:
        """Run what waits in the background until nothing is left; how many jobs ran.

        The last failure is raised, unless ``raise_errors`` is false here or at creation.
        """
        with _CollectFailures() as failures:
            count = self._environment.runner.run_all()
        if failures and (self._raise_errors if raise_errors is None else raise_errors):
            raise failures[-1]
        return count

    def tick(self) -> "LiveClient":
        """Let one ``tick_interval`` pass."""
        post_tick(self.instance)
        return self

    def disconnect(self) -> "LiveClient":
        """The page loses its stream: what is pushed does not arrive."""
        if self.is_connected:
            self._environment.transport.ignore(self._channels, self._receive)
            self.is_connected = False
        return self

    def reconnect(self) -> "LiveClient":
        """The stream opens again, and brings what was missed."""
        if not self.is_connected:
            self._environment.transport.listen(self._channels, self._receive)
            self.is_connected = True
            replay = self._environment.transport.read(self._channels, self._position)
            for message in replay.messages:
                self._receive(message)
            self._position = replay.position
            if replay.is_reset:
                self.sync()
        return self

    def sync(self, *, adopt: Iterable[str] = (), poll: bool = False) -> "LiveClient":
        """Ask what the page has missed."""
        granted = [root for root in self._synced_page.roots() if root.attributes["data-live"]]
        roots = [
            {
                "live": root.attributes["data-live"],
                "rev": get_rev(root),
                "state": root.attributes["data-live-state"],
            }
            for root in granted
        ]
        streams = {
            element.attributes["id"]: element.attributes["data-live-offset"]
            for element in self._synced_page.root.all()
            if "data-live-stream" in element.attributes
        }
        body = {"number": self._position, "roots": roots, "streams": streams, "adopt": list(adopt), "poll": poll}
        self._apply_response(
            self.http.post(
                f"{self._base_url}sync/", body, content_type="application/json", headers=self._page_headers()
            )
        )
        return self

    def reload(self, *, adopt: bool = True) -> "LiveClient":
        """Load the page again; with ``adopt`` it takes over what it showed before, as a browser's reload does."""
        grants = [root.attributes["data-live"] for root in self._synced_page.roots()] if adopt else []
        self.disconnect()
        response = self.http.get(self._path)
        self.status = response.status_code
        self.redirected_to = response.get("Location", "")
        self._load(response.content.decode() if response.status_code == 200 else "")
        if self._is_live:
            if grants:
                self.sync(adopt=grants)
            self.reconnect()
        return self

    def advance(self, seconds: float) -> "LiveClient":
        """Let time pass for the store and the messages."""
        self._environment.clock.advance(seconds)
        return self

    # The script's part

    @property
    def _synced_page(self) -> ShownPage:
        """What the page shows, after it has asked what it was told to ask: a message is no place for a request."""
        if self._is_sync_due:
            self._is_sync_due = False
            self.sync()
        return self._shown_page

    def _load(self, html: str) -> None:
        page = parse(html)
        meta = next((one for one in page.all() if one.attributes.get("name") == "htmx-live"), None)
        self._shown_page = ShownPage(html)
        self._is_live = meta is not None and self._synced_page.html != ""
        if meta is None or not self._is_live:
            return
        self._base_url, self._page_grant = meta.attributes["data-url"], meta.attributes["data-page"]
        self._position = meta.attributes["data-number"]
        page_id = unsign_page(self._page_grant, max_age=settings().GRANT_MAX_AGE).page
        self._channels = [page_channel(page_id), *subscribed_channels(page_id)]

    def _page_headers(self) -> dict[str, str]:
        current_url = f"http://testserver{self._path}"
        return {
            "X-Live-Page": self._page_grant,
            "HX-Request": "true",
            "HX-Current-URL": current_url,
            "Referer": current_url,
        }

    def _find_trigger(self, event: str, handler: str, values: dict[str, Any]) -> tuple[Element, dict[str, Any]]:
        """The trigger, and those of ``values`` that are not among its arguments."""
        triggers = [one for one in self._synced_page.root.all() if one.attributes.get("data-live-event") == handler]
        for element in triggers:
            event_words = re.split(r"[\s,\[]+", element.attributes.get("hx-trigger", ""))
            arguments = json.loads(element.attributes.get("data-live-args", "{}"))
            matching = {name: value for name, value in values.items() if name in arguments}
            if event in event_words and all(str(arguments[name]) == str(value) for name, value in matching.items()):
                if element.is_disabled():
                    raise AssertionError(f"{element.opening_tag()} is disabled: a user could not {event} it.")
                return element, {name: value for name, value in values.items() if name not in arguments}
        found = "\n  ".join(element.opening_tag() for element in triggers) or "none"
        raise AssertionError(
            f"The page has no trigger for {event} → {handler}({values}). Of that handler it has:\n  {found}"
        )

    def _receive(self, message: BusMessage) -> None:
        self._handle_event(message.event, message.data)
        self._position = f"{self._environment.transport.epoch}.{message.number}"

    def _handle_event(self, event: str, text: str) -> None:
        if not event:
            self.fragments.append(text)
            self._apply(text)
        elif event == "append":
            if not self._shown_page.append_text(json.loads(text)):
                self.sync()
        elif event == "notice":
            self.notices.append(json.loads(text))
        elif event == "redirect":
            self.redirected_to = json.loads(text)["url"]
        elif event == SYNC:
            self._is_sync_due = True

    def _apply_response(self, response: Any) -> None:
        self.status, self.answer = response.status_code, response.content.decode()
        self.notices += json.loads(response.get("X-Live-Notices", "[]"))
        self.redirected_to = response.get("HX-Redirect", "") or self.redirected_to
        self.is_remounted = "X-Live-Remounted" in response
        self.address = response.get("X-Live-Url", "")
        self._path = self.address.partition(" ")[2] or self._path
        if response.status_code == 200:
            self._apply(self.answer)
            for messages in _MESSAGES.findall(self.answer):
                for message in json.loads(messages):
                    self._handle_event(message["event"], message["data"])

    def _apply(self, text: str) -> None:
        self._shown_page.apply(text)
        empty_roots = [root for root in self._shown_page.roots() if root.attributes["data-live"] == ""]
        for parent in {
            root.parent.closest_with_attribute("data-live").attributes["id"]: root
            for root in empty_roots
            if root.parent
        }:
            self._shown_page.reset_rev(parent)
        if empty_roots:
            self.sync()


class _CollectFailures:
    """Collects what jobs raise while it is open; the log shows it as well."""

    def __enter__(self) -> list[BaseException]:
        from htmx_live.runtime import job_control as jobs

        self._found: list[BaseException] = []
        jobs.observers.append(self._found.append)
        return self._found

    def __exit__(self, *exc: object) -> Literal[False]:
        from htmx_live.runtime import job_control as jobs

        jobs.observers.remove(self._found.append)
        return False
