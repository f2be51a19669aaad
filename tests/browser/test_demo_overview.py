"""The demo's overview in Chromium against a real uvicorn, under the strict policy: panels, bars, retry, a live view."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.visitors import Visitors, connected, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser

WAYS = ["plain", "async", "lazy", "streamed"]
ROWS = ["page", "revenue", "sellers", "courier", "rates"]
FAILURE = "This part of the page could not be loaded. The other parts are not affected."


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("quick")) as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its panels take 1 to 6 seconds, so that a test can look at the page before they are there."""
    with demo_server(tmp_path_factory.mktemp("slow"), DEMO_PACE="1") as server:
        yield server


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def overview(visitors: Visitors, server: Server, way: str, *, wait_until: str = "load", **options: object) -> Page:
    page = visitors.enter(server, **options)  # type: ignore[arg-type]
    page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
    page.goto(f"{server.url}/overview/{way}/", wait_until=wait_until)  # type: ignore[arg-type]
    return page


def part(page: Page, title: str) -> Locator:
    return page.locator(".overview > section").filter(has=page.get_by_role("heading", name=title))


def whole(page: Page) -> None:
    """Waits for all panels."""
    for row in ROWS:
        expect(page.locator(f".bar.{row}")).to_have_count(1)


def paths(page: Page) -> list[str]:
    """Collects the requests for panels and pages."""
    seen: list[str] = []
    wanted = re.compile(r"/live/layouts/|/overview/")
    page.on("request", lambda request: wanted.search(request.url) and seen.append(request.url))
    return seen


@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_in_the_same_page_also_on_a_phone(quick: Server, visitors: Visitors, way: str) -> None:
    page = overview(visitors, quick, way)
    whole(page)
    expect(part(page, "Revenue").locator("tbody tr")).to_have_count(4)
    expect(part(page, "Best sellers").locator("tbody tr")).to_have_count(6)
    expect(part(page, "Courier")).to_contain_text("parcels to hand over")
    expect(part(page, "Exchange rates").get_by_role("alert")).to_have_text(FAILURE)
    every_bar_stands_in_its_row(page)
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def every_bar_stands_in_its_row(page: Page) -> None:
    for number, row in enumerate(ROWS):
        line = page.locator(".waterfall li").nth(number).bounding_box()
        bar = page.locator(f".bar.{row}").bounding_box()
        assert line and bar
        assert line["y"] <= bar["y"] and bar["y"] + bar["height"] <= line["y"] + line["height"]
        assert line["x"] < bar["x"] and bar["x"] + bar["width"] <= line["x"] + line["width"]


def test_lazy_panels_come_one_by_one_into_a_page_that_is_there(slow: Server, visitors: Visitors) -> None:
    page = overview(visitors, slow, "lazy")
    for title in ("Revenue", "Best sellers", "Courier", "Exchange rates"):
        expect(part(page, title).locator(".waiting")).to_be_visible()
    expect(part(page, "Exchange rates").get_by_role("alert")).to_be_visible()
    expect(part(page, "Best sellers").locator(".waiting")).to_be_visible()
    whole(page)
    expect(page.locator(".overview > section:nth-of-type(-n+4) .waiting")).to_have_count(0)


def test_streamed_panels_come_one_by_one_in_the_pages_own_response(slow: Server, visitors: Visitors) -> None:
    page = visitors.enter(slow)
    requests = paths(page)
    page.goto(f"{slow.url}/overview/streamed/", wait_until="commit")
    expect(part(page, "Exchange rates").get_by_role("alert")).to_be_visible()
    expect(part(page, "Best sellers").locator(".waiting")).to_be_visible()
    whole(page)
    assert requests == [f"{slow.url}/overview/streamed/"]


@pytest.mark.parametrize("way", ["lazy", "streamed"])
def test_a_failed_panel_is_asked_for_again_by_a_click(quick: Server, visitors: Visitors, way: str) -> None:
    page = overview(visitors, quick, way)
    whole(page)
    again = part(page, "Exchange rates").get_by_role("button", name="Try again")
    with page.expect_response(re.compile("/live/layouts/")) as answered:
        again.click()
    assert answered.value.status == 200
    expect(again).to_be_visible()
    whole(page)
    expect(part(page, "Exchange rates").get_by_role("alert")).to_have_text(FAILURE)


def test_a_live_view_in_a_lazy_panel_joins_the_page_and_works(quick: Server, visitors: Visitors) -> None:
    page = overview(visitors, quick, "lazy", viewport={"width": 1280, "height": 500})
    whole(page)
    forecast = part(page, "Forecast")
    expect(forecast.locator(".waiting")).to_have_count(1)  # it is out of sight
    forecast.scroll_into_view_if_needed()
    forecast.get_by_role("button", name="Forecast 2026").click()
    expect(forecast.get_by_text("expected in 2026")).to_be_visible()
    connected(page)
    forecast.get_by_role("button", name="Forecast 2020").click()
    expect(forecast.get_by_role("alert")).to_have_text("There are no orders in 2019 to go by.")


def test_the_ways_are_one_click_apart(quick: Server, visitors: Visitors) -> None:
    page = visitors.at(quick, "/reports/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Overview").click()
    ways = page.get_by_role("navigation", name="Ways to put the page together")
    for name in ("Streamed", "Lazy", "Async", "Plain"):
        ways.get_by_role("link", name=name).click()
        expect(ways.locator("[aria-current]")).to_have_text(name)
        whole(page)


@pytest.mark.parametrize("way", ["lazy", "streamed"])
def test_without_javascript_each_panel_is_a_link_away(quick: Server, visitors: Visitors, way: str) -> None:
    page = overview(visitors, quick, way, java_script_enabled=False)
    part(page, "Courier").get_by_role("link", name="Show this part").click()
    expect(page.get_by_text("parcels to hand over")).to_be_visible()
    page.get_by_role("link", name="Back to the page").click()
    expect(page).to_have_url(f"{quick.url}/overview/{way}/")
