"""One page and one scripted server for each test."""

from collections.abc import Iterator
from pathlib import Path

import django_htmx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.markup import document
from tests.browser.scripted_server import Exchange, ScriptedServer, message
from tests.npm import fetch

BUNDLED = Path(django_htmx.__file__).parent / "static/django_htmx/htmx-4.js"
RELEASED = "htmx.org@4.0.1"


# What each feature of htmx that the script relies on is tested with; all other tests run with django-htmx's copy,
# which pages load.
BOTH = pytest.mark.parametrize("htmx", ["bundled", "released"], indirect=True)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server on a port of its own: nothing of an earlier test's page can reach it."""
    server = ScriptedServer({"/htmx.js": BUNDLED})
    yield server
    server.stop()


@pytest.fixture
def htmx(request: pytest.FixtureRequest, server: ScriptedServer) -> str:
    """The path of htmx 4: django-htmx's copy, or the release."""
    if getattr(request, "param", "bundled") == "released":
        server.files["/htmx.js"] = fetch(RELEASED) / "dist/htmx.js"
    return "/htmx.js"


@pytest.fixture
def page(browser: Browser, server: ScriptedServer) -> Iterator[Page]:
    """A page on which no script may fail and nothing may break the strict content security policy."""
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(10_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
    assert server.violations == []


class LivePage:
    """A page that stands, its stream open."""

    def __init__(self, page: Page, server: ScriptedServer, htmx: str) -> None:
        self.page, self.server, self.htmx = page, server, htmx
        self.stream: Exchange

    def open(self, body: str, *, frozen: bool = False, **meta: object) -> None:
        """Shows ``body`` and waits until the script has read the stream's hello.

        When ``frozen``, the page's clock then stands, and goes on by ``page.clock.run_for(ms)`` only.
        """
        if frozen:
            self.page.clock.install(time=0)
        self.server.pages["/"] = document(body, **{"htmx": self.htmx, **meta})
        self.page.add_init_script("window.seen = []; addEventListener('live:connected', () => seen.push('connected'))")
        self.page.goto(self.server.url + "/")
        self.stream = self.server.next("stream")
        self.until("seen.includes('connected')")
        if frozen:
            self.page.clock.pause_at(10)

    def until(self, condition: str) -> None:
        """Waits for a JavaScript condition.  Playwright's own way evaluates a string, which the policy forbids."""
        wait = "new Promise((go) => setTimeout(go, 10))"
        done = self.page.evaluate(
            f"async () => {{ for (let n = 0; n < 1000; n++) if ({condition}) return true; else await {wait}; }}"
        )
        assert done, condition

    def push(self, data: str, id: str, event: str = "") -> None:
        """Sends one message and waits until the script has read it."""
        self.stream.send(message(data, event=event, id=id))
        self.page.wait_for_selector(f"meta[data-number='{id}']", state="attached")

    def event(self) -> Exchange:
        """The next event's request."""
        return self.server.next("event")


@pytest.fixture
def live(page: Page, server: ScriptedServer, htmx: str) -> LivePage:
    return LivePage(page, server, htmx)
