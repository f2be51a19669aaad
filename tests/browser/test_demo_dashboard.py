"""The demo's dashboard: two people, two browsers, one live view."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import Visitors, visiting
from tests.server import ROOT, Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def unpaid(page: Page) -> int:
    return int(page.locator(".figures strong").first.inner_text())


def this_month(page: Page) -> str:
    return page.locator(".chart rect").last.get_attribute("height") or ""


def test_an_order_from_the_form_changes_every_open_dashboard(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/dashboard/")
    ben = visitors.at(server, "/dashboard/", name="ben")
    before, bar = unpaid(ben), this_month(ben)
    anna.get_by_role("button", name="New order").click()
    dialog = anna.get_by_role("dialog")
    dialog.get_by_label("Customer").select_option(index=7)
    dialog.get_by_label("Product").select_option(label="Breakfast hamper")
    dialog.get_by_label("Quantity").fill("30")
    dialog.get_by_role("button", name="Place order").click()
    number = dialog.get_by_role("status").get_by_role("link").inner_text()
    for page in (anna, ben):
        expect(page.locator("tbody tr").first).to_contain_text(number)
        expect(page.locator(".figures strong").first).to_have_text(str(before + 1))
    assert int(this_month(ben)) > int(bar)
    assert this_month(anna) == this_month(ben)


def test_a_click_of_one_is_seen_by_both_and_toasted_to_one(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/dashboard/")
    ben = visitors.at(server, "/dashboard/", name="ben")
    before = unpaid(anna)
    ben.get_by_role("button", name="Let somebody order something").click()
    for page in (anna, ben):
        expect(page.locator(".figures strong").first).to_have_text(str(before + 1))
    expect(ben.locator(".live-toast")).to_contain_text("ordered for")
    expect(anna.locator(".live-toast")).to_have_count(0)


def test_an_order_of_another_process_is_there_after_a_tick(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/dashboard/")
    before = unpaid(anna)
    command = [sys.executable, str(ROOT / "demo/manage.py"), "new_order"]
    said = subprocess.run(command, env={**os.environ, **server.env}, check=True, capture_output=True, text=True).stdout
    assert "at its next tick, within 5 s" in said
    expect(anna.locator(".figures strong").first).to_have_text(str(before + 1))


def test_a_boosted_link_leaves_the_dashboard_and_back_returns_to_one_that_lives(
    server: Server, visitors: Visitors
) -> None:
    anna = visitors.at(server, "/dashboard/")
    ben = visitors.at(server, "/dashboard/", name="ben")
    anna.evaluate("window.same = true")
    link = anna.locator("tbody tr a").first
    number = link.inner_text()
    link.click()
    expect(anna.get_by_role("heading", name=f"Order {number}")).to_be_visible()
    assert anna.evaluate("window.same") is True  # no page load
    before = unpaid(ben)
    ben.get_by_role("button", name="Let somebody order something").click()
    expect(ben.locator(".figures strong").first).to_have_text(str(before + 1))
    anna.go_back()
    expect(anna.locator(".figures strong").first).to_have_text(str(before + 1))
    ben.get_by_role("button", name="Let somebody order something").click()
    expect(anna.locator(".figures strong").first).to_have_text(str(before + 2))
    anna.get_by_role("button", name="Let somebody order something").click()
    expect(ben.locator(".figures strong").first).to_have_text(str(before + 3))


def test_without_javascript_a_click_counts_too(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/dashboard/", java_script_enabled=False)
    before = unpaid(anna)
    anna.get_by_role("button", name="Let somebody order something").click()
    expect(anna.locator(".figures strong").first).to_have_text(str(before + 1))
