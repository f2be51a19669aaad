"""Lazy and streamed panels in Chromium, under a strict content security policy, with htmx 2 and htmx 4."""

import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server import Server

pytestmark = pytest.mark.browser

Script = Callable[[Page], Any]


@pytest.fixture
def chromium(browser: Browser) -> Callable[..., Any]:
    """Call it with a script."""
    return partial(opened, browser)


def opened(browser: Browser, script: Script, **options: Any) -> Any:
    """Run ``script`` on a new page, on which nothing may break the policy and no script may fail."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    try:
        result = script(page)
    finally:
        context.close()
    assert complaints == []
    return result


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("layouts-browser")
    env = {"DJANGO_SETTINGS_MODULE": "tests.layouts.server_settings", "LAYOUTS_DATABASE": str(folder / "db.sqlite3")}
    with Server("tests.layouts.asgi:application", log=Path(folder) / "server.log", env=env) as running:
        yield running


@pytest.fixture
def gate(server: Server, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Its ``name`` is this test's own; call it to open it."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)

    def open_gate() -> str:
        with urllib.request.urlopen(f"{server.url}/site/open/{name}/", timeout=30) as response:
            text: str = response.read().decode()
            return text

    open_gate.name = name  # type: ignore[attr-defined]
    return open_gate


def test_a_streamed_panel_takes_its_place_in_the_same_response(chromium: Any, server: Server, gate: Any) -> None:
    def script(page: Page) -> None:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{server.url}/site/apage/?show=slow&show=fast&gate={gate.name}", wait_until="commit")
        expect(page.locator("#fast")).to_have_text("fast")
        expect(page.locator("#slow")).to_contain_text("waiting")
        gate()
        expect(page.locator("#slow")).to_have_text("slow")
        assert page.locator("template, [data-layout-stream]").count() == 0
        assert [url for url in requests if "/live/" in url] == []

    chromium(script)


def test_a_panel_that_arrived_before_our_script_takes_its_place_too(chromium: Any, server: Server) -> None:
    def script(page: Page) -> None:
        page.route("**/layouts.js", lambda route: (page.wait_for_timeout(0), route.continue_()))
        page.goto(f"{server.url}/site/apage/?show=fast&show=greeting")
        expect(page.locator("#fast")).to_have_text("fast")
        expect(page.locator("#greeting")).to_have_text("AnonymousUser")

    chromium(script)


@pytest.mark.parametrize("how", ["htmx=4", "htmx=2", "early=1"])
def test_htmx_works_on_what_a_streamed_panel_brings(chromium: Any, server: Server, gate: Any, how: str) -> None:
    """Whether htmx starts before the panel arrives (``early``) or after."""

    def script(page: Page) -> None:
        page.goto(f"{server.url}/site/apage/?show=slow&gate={gate.name}&{how}", wait_until="commit")
        expect(page.locator("#slow")).to_contain_text("waiting")
        gate()
        page.wait_for_load_state("load")
        page.locator("#ask").click()
        expect(page.locator("#answer")).to_have_text("pong")

    chromium(script)


@pytest.mark.parametrize("htmx", ["2", "4"])
def test_a_lazy_panel_loads_itself(chromium: Any, server: Server, htmx: str) -> None:
    def script(page: Page) -> None:
        page.goto(f"{server.url}/site/apage/?show=account&htmx={htmx}&order=7")
        expect(page.locator("#account")).to_contain_text("Site 7")
        expect(page.locator("#account [data-layout-panel]")).to_have_count(0)

    chromium(script)


@pytest.mark.parametrize("htmx", ["2", "4"])
def test_a_visible_panel_waits_until_it_is_scrolled_to(chromium: Any, server: Server, htmx: str) -> None:
    def script(page: Page) -> None:
        page.route("**/site/apage/**", lambda route: below_the_fold(route))
        page.goto(f"{server.url}/site/apage/?show=seen&htmx={htmx}", wait_until="networkidle")
        assert "waiting" in (page.locator("#seen").text_content() or "")
        page.locator("#seen").scroll_into_view_if_needed()
        expect(page.locator("#seen")).to_contain_text("Site None")

    chromium(script)


def below_the_fold(route: Any) -> None:
    response = route.fetch()
    route.fulfill(response=response, body=response.text().replace("<h1>", "<h1>" + "<br>" * 400))


@pytest.mark.parametrize("htmx", ["2", "4"])
def test_a_failed_panel_is_tried_again_by_its_one_button(chromium: Any, server: Server, gate: Any, htmx: str) -> None:
    def script(page: Page) -> None:
        page.goto(f"{server.url}/site/apage/?show=broken&gate={gate.name}&htmx={htmx}")
        expect(page.locator("#broken [role=alert]")).to_have_text("This part of the page could not be loaded.")
        first = page.get_by_role("button", name="Try again").element_handle()
        first.click()
        page.wait_for_function("(button) => !button.isConnected", arg=first)
        expect(page.get_by_role("button")).to_have_count(1)
        gate()
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#broken")).to_have_text("mended")

    chromium(script)


@pytest.mark.parametrize("htmx", ["2", "4"])
def test_a_lost_connection_uncovers_the_retry_button(chromium: Any, server: Server, htmx: str) -> None:
    def script(page: Page) -> None:
        page.route("**/live/layouts/**", lambda route: route.abort())
        page.goto(f"{server.url}/site/apage/?show=account&htmx={htmx}")
        button = page.get_by_role("button", name="Try again")
        expect(button).to_be_visible()
        expect(page.locator("#account [data-layout-panel]")).to_have_attribute("aria-busy", "false")
        page.unroute("**/live/layouts/**")
        button.click()
        expect(page.locator("#account")).to_contain_text("Site None")
        expect(button).to_have_count(0)

    chromium(script)


@pytest.mark.parametrize("name", ["fast", "account"])
def test_without_javascript_a_link_leads_to_the_panel_and_back(chromium: Any, server: Server, name: str) -> None:
    def script(page: Page) -> None:
        page.goto(f"{server.url}/site/apage/?show={name}")
        page.get_by_role("link", name="Show this part").click()
        expect(page.locator("body")).to_contain_text("fast" if name == "fast" else "Site None")
        page.get_by_role("link", name="Back to the page").click()
        expect(page.locator("h1")).to_have_text("main")

    chromium(script, java_script_enabled=False)


def test_a_late_streamed_panel_loads_itself(chromium: Any, server: Server, gate: Any) -> None:
    def script(page: Page) -> None:
        with page.expect_request("**/live/layouts/**"):
            page.goto(f"{server.url}/site/apage/?show=late&gate={gate.name}&early=1")
        expect(page.locator("#late [data-layout-panel]")).to_have_attribute("aria-busy", "true")
        gate()
        expect(page.locator("#late")).to_have_text("slow")

    chromium(script)


def test_the_page_is_told_when_a_panel_arrives(chromium: Any, server: Server) -> None:
    def script(page: Page) -> list[str]:
        page.add_init_script(
            "window.arrived = []; document.addEventListener('layouts:arrived', (e) => arrived.push(e.detail.panel))"
        )
        page.goto(f"{server.url}/site/apage/?show=fast")
        return page.evaluate("arrived")  # type: ignore[no-any-return]

    assert chromium(script) == ["fast"]
