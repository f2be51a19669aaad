"""The demo's import in Chromium: upload, progress, a second tab, cancel, retry, and what others do meanwhile."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An import takes some seconds, so that a test can act in the middle of it."""
    with demo_server(tmp_path_factory.mktemp("import"), DEMO_PACE="0.2") as running:
        yield running


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def choose(page: Page, rows: int) -> None:
    """Takes the first rows of the sample."""
    sample = page.evaluate("fetch('/import/sample.csv').then((answer) => answer.text())")
    content = "".join(line + "\r\n" for line in sample.splitlines()[: rows + 1])
    page.set_input_files("#import-file", {"name": "orders.csv", "mimeType": "text/csv", "buffer": content.encode()})


def start(page: Page, rows: int = 4_000) -> None:
    choose(page, rows)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar", name="Check the rows")).to_be_visible()


def test_the_bar_of_the_upload_becomes_that_of_the_work(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/")
    choose(page, 4_000)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 60_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Import", exact=True).click()
    upload = page.get_by_role("progressbar", name="Upload")
    expect(upload).to_be_visible()
    expect(page.locator(".sending .live-progress-percent")).to_have_text(re.compile(r"[1-9]\d %"))
    top = upload.bounding_box()["y"]  # type: ignore[index]
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    work = page.get_by_role("progressbar", name="Progress", exact=True)
    expect(work).to_be_visible()
    expect(upload).to_be_hidden()
    assert abs(work.bounding_box()["y"] - top) < 60  # type: ignore[index]
    expect(page.get_by_role("heading", name=re.compile("orders.csv,"))).to_be_visible()


def test_an_upload_that_is_cancelled_keeps_the_file_in_its_field(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/", name="ben", offline_is_fine=True)
    choose(page, 4_000)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Import", exact=True).click()
    page.locator(".sending").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    assert page.locator("#import-file").evaluate("(field) => field.files[0].name") == "orders.csv"


def test_every_tab_shows_the_work_and_its_end_also_after_a_reload(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/")
    other = visitors.at(server, "/import/")
    start(page)
    bar = other.get_by_role("progressbar", name="Import the orders")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d"))
    page.reload()
    expect(page.get_by_role("progressbar", name="Import the orders")).to_be_visible()
    for tab in (page, other):
        expect(tab.get_by_role("heading", name=re.compile("orders.csv,"))).to_be_visible()
        expect(tab.get_by_role("button", name="Import", exact=True)).to_be_enabled()
        expect(tab.get_by_role("progressbar")).to_have_count(0)


def test_the_end_is_told_on_another_page_with_a_link_to_the_import(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/")
    start(page)
    page.goto(server.url + "/products/")
    page.get_by_role("link", name=re.compile(r"orders.csv: .* orders imported")).click()
    expect(page.get_by_role("heading", name=re.compile("orders.csv,"))).to_be_visible()


def test_a_cancelled_import_says_what_stays_and_goes_on_when_it_is_tried_again(
    server: Server, visitors: Visitors
) -> None:
    page = visitors.at(server, "/import/", name="ben")
    start(page)
    expect(page.get_by_role("progressbar", name="Import the orders")).to_have_attribute(
        "aria-valuenow", re.compile(r"[1-9]\d")
    )
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.locator(".message")).to_contain_text("orders of orders.csv are in the shop and stay there")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".message")).to_have_count(0)
    expect(page.get_by_role("heading", name=re.compile("orders.csv,"))).to_be_visible()


def test_other_pages_stay_usable_while_orders_are_saved(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/")
    orders = visitors.at(server, "/orders/?q=B-1", name="ben")
    start(page, rows=8_000)
    bar = page.get_by_role("progressbar", name="Import the orders")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"[1-9]\d?"))
    paid = orders.get_by_role("button", name="Mark paid")
    before = paid.count()
    paid.first.click()
    expect(paid).to_have_count(before - 1)
    assert int(bar.get_attribute("aria-valuenow") or 0) < 100


def test_without_javascript_the_page_refreshes_itself_until_the_end(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/import/", java_script_enabled=False)
    sample = page.request.get(server.url + "/import/sample.csv").text().splitlines()[:2_001]
    content = "\n".join(sample).encode()
    page.set_input_files("#import-file", {"name": "plain.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar", name="Check the rows")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("plain.csv,"))).to_be_visible(timeout=30_000)
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
