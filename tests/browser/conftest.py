"""One page and one scripted server for each test."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import django_htmx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.markup import document
from tests.browser.scripted_server import Exchange, ScriptedServer, message

BUNDLED = Path(django_htmx.__file__).parent / "static/django_htmx/htmx-4.js"
RELEASE = "4.0.1"


@pytest.fixture(scope="session")
def released_htmx(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """htmx as npm has it, or the reason why it cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    folder = tmp_path_factory.mktemp("npm")
    fetched = subprocess.run([npm, "pack", f"htmx.org@{RELEASE}"], cwd=folder, capture_output=True, text=True)
    if fetched.returncode:
        return f"npm pack failed: {fetched.stderr.strip().splitlines()[-1]}"
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, "gztar", filter="data")
    return folder / "package/dist/htmx.js"


@pytest.fixture
def server(released_htmx: Path | str) -> Iterator[ScriptedServer]:
    """A server on a port of its own: nothing of an earlier test's page can reach it."""
    released = {"/htmx-released.js": released_htmx} if isinstance(released_htmx, Path) else {}
    server = ScriptedServer({"/htmx.js": BUNDLED, **released})
    yield server
    server.stop()


@pytest.fixture(params=["bundled", "released"])
def htmx(request: pytest.FixtureRequest, released_htmx: Path | str) -> str:
    """The path of htmx 4: django-htmx's copy, then the release."""
    if request.param == "bundled":
        return "/htmx.js"
    if isinstance(released_htmx, str):
        pytest.skip(released_htmx)
    return "/htmx-released.js"


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
