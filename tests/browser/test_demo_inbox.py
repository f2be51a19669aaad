"""The demo's inbox, its Celery task and its admin in Chromium: work that is followed without a live view."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitors import Visitors, connected, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("inbox"), DEMO_PACE="0.15") as running:
        yield running


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def test_work_appears_in_the_inbox_and_moves_to_what_has_ended(server: Server, visitors: Visitors) -> None:
    page, other = visitors.at(server, "/inbox/"), visitors.at(server, "/inbox/")
    page.get_by_role("button", name="Recount the stock", exact=True).click()
    for tab in (page, other):
        expect(tab.get_by_role("progressbar", name="Recount the stock")).to_be_visible()
    for tab in (page, other):
        expect(tab.get_by_role("progressbar")).to_have_count(0, timeout=30_000)
        expect(tab.locator(".live-tasks-past")).to_contain_text(re.compile(r"[\d,]+ pieces were sold"))
    page.get_by_role("link", name="Show the result").first.click()
    expect(page.get_by_role("heading", name="Products")).to_be_visible()


def test_work_that_fails_says_why_and_can_be_tried_again(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/inbox/", name="ben")
    page.get_by_role("button", name="Order what runs out", exact=True).click()
    past = page.locator(".live-tasks-past")
    expect(past).to_contain_text(re.compile("The supplier of .* does not answer."))
    before = past.locator(".live-task-error").inner_text()
    past.get_by_role("button", name="Try again").click()
    expect(past.locator(".live-task-error")).not_to_have_text(before)  # it has failed once more


def test_the_inbox_works_without_javascript(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/inbox/", name="clara", java_script_enabled=False)
    page.get_by_role("button", name="Recount the stock", exact=True).click()
    expect(page.get_by_role("progressbar", name="Recount the stock")).to_be_visible()


def test_a_plain_view_starts_work_that_its_page_follows_also_after_a_reload(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/reports/")  # a page with a stream; the next has one once there is a card
    page.goto(server.url + "/celery/")
    page.get_by_role("button", name="Start the work").click()
    bar = page.locator("#recount").get_by_role("progressbar", name="Recount the stock")
    expect(bar).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    page.reload()
    connected(page)
    expect(bar).to_be_visible()
    page.locator("#recount").get_by_role("button", name="Cancel").click()
    expect(page.locator("#recount")).to_contain_text("Recount the stock cancelled")


def test_the_owner_exports_orders_in_the_admin_and_a_clerk_may_not_enter(server: Server, visitors: Visitors) -> None:
    admin = visitors.at(server, "/orders/", name="clara", offline_is_fine=True)  # the admin has no icon: a 404
    admin.get_by_role("link", name="Admin").click()
    admin.get_by_role("link", name="Orders", exact=True).first.click()
    admin.get_by_label(re.compile("Select all")).check()
    admin.get_by_label("Action:").select_option("export")
    admin.get_by_role("button", name=re.compile("^(Go|Run)")).click()
    expect(admin.get_by_role("progressbar", name=re.compile("Export selected orders"))).to_be_visible()
    admin.reload()
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Show the result").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert (lines[0], len(lines)) == ("number,customer,total", 101)
    clerk = visitors.at(server, "/orders/", name="anna")
    expect(clerk.get_by_role("link", name="Admin")).to_have_count(0)
    assert "/admin/login/" in clerk.request.get(server.url + "/admin/shop/order/").url
