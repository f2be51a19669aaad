"""Every page of the demo and every state of every component: axe finds nothing, and nothing moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from demo.gallery.examples import component_names
from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
PAGES = [
    "/",
    "/login/",
    "/reports/",
    "/dashboard/",
    "/note/",
    "/orders/",
    "/orders/new/",
    "/products/",
    "/overview/",
    "/overview/lazy/",
    "/import/",
    "/inbox/",
    "/celery/",
    "/orders/B-14033/edit/",
]
GALLERY = ["/gallery/", *(f"/gallery/{name}/" for name in component_names())]
BESIDE = ["/gallery/beside/admin/", "/gallery/beside/admin/?theme=dark"]

# Adds up the layout shifts of the page that nobody's click or key has caused.
WATCH_SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) shifts += entry.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("accessibility")) as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def violations(page: Page) -> list[str]:
    """What axe complains of, one line for each element.  Without `preload`: it would break the page's style policy."""
    if page.evaluate("!window.axe"):
        page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run({ resultTypes: ['violations'], preload: false })")[
        "violations"
    ]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("path", [*PAGES, *GALLERY])
def test_axe_finds_nothing_and_a_phone_scrolls_up_and_down_only(server: Server, visitors: Visitors, path: str) -> None:
    page = _at(visitors, server, path, color_scheme="light", reduced_motion="reduce")  # no colours in between
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 375, "height": 800})
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 375  # on a phone nothing is cut off at the side


@pytest.mark.parametrize("path", BESIDE)
def test_axe_finds_nothing_beside_the_admin(server: Server, visitors: Visitors, path: str) -> None:
    page = _at(visitors, server, path)
    assert [one for one in violations(page) if "live-" in one] == []


def test_axe_finds_nothing_from_right_to_left(server: Server, visitors: Visitors) -> None:
    page = _at(visitors, server, "/gallery/live_button/?dir=rtl")
    assert (page.locator("html").get_attribute("dir"), violations(page)) == ("rtl", [])


def test_a_button_keeps_its_width_and_the_focus_while_it_works(server: Server, visitors: Visitors) -> None:
    page = _at(visitors, server, "/gallery/live_button/")
    button = page.get_by_role("button", name="Save", exact=True).first
    before = button.bounding_box()
    button.press("Enter")
    busy = page.locator(".stage").first.locator("button")
    expect(busy).to_be_disabled()
    expect(busy).to_have_accessible_name("Saving…")
    assert busy.bounding_box() == before
    expect(busy).to_be_enabled()
    expect(busy).to_be_focused()
    expect(busy).to_have_accessible_name("Save")


def test_a_push_moves_nothing(server: Server, visitors: Visitors) -> None:
    page = _at(visitors, server, "/gallery/live_button/")
    page.evaluate(WATCH_SHIFTS)
    page.locator(".stage").first.locator("button").click()
    expect(page.get_by_text("1 saved")).to_be_visible()  # the job's end was pushed
    page.evaluate("new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")
    assert page.evaluate("shifts") == 0


def test_the_banner_tells_that_the_connection_is_lost_and_that_it_is_back(server: Server, visitors: Visitors) -> None:
    page = _at(visitors, server, "/products/")
    part = "document.querySelector('#live-messages').content.querySelector('.live-banner')"
    page.evaluate(f"document.body.append({part}.cloneNode(true))")
    banner = page.locator("body > .live-banner")
    expect(banner).to_be_hidden()
    page.evaluate("document.body.classList.add('live-offline')")
    expect(banner).to_be_visible()
    expect(banner).to_have_text("Connection lost. Reconnecting…", use_inner_text=True)
    page.evaluate("document.body.classList.remove('live-offline')")
    expect(banner).to_have_text("Connected again", use_inner_text=True)
    expect(banner).to_be_hidden()


def test_the_start_page_loads_nothing_from_outside(server: Server, visitors: Visitors) -> None:
    page = visitors.browser.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url + "/")
    assert [url for url in asked if not url.startswith(server.url + "/")] == []


def _at(visitors: Visitors, server: Server, path: str, **options: Any) -> Page:
    """A signed-in user at ``path``, where the script has started."""
    page = visitors.enter(server, **options)
    page.goto(server.url + path)
    page.wait_for_selector("html.live-ready")
    return page
