"""The demo's list of orders: searched, sorted, paged, acted on; with plain htmx beside it, and without JavaScript."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.visitors import Visitors, connected, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("orders"), DEMO_PACE="0.8") as running:
        yield running


@pytest.fixture
def server(demo: Server) -> Server:
    """The demo, whose newest orders are unpaid."""
    newest = "SELECT id FROM shop_order ORDER BY placed_at DESC, id DESC LIMIT 6"
    with closing(sqlite3.connect(demo.env["DEMO_DATABASE"], timeout=20)) as database, database:
        database.execute(f"UPDATE shop_order SET status = 'open' WHERE id IN ({newest})")
    return demo


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def first(page: Page) -> Locator:
    return page.locator("tbody tr").first


def ends(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path) + "$")


def unpaid_row(page: Page, nth: int = 0) -> Locator:
    """A row whose order can be paid, by a locator that does not change with its status."""
    row = page.locator("tr", has=page.get_by_role("button", name="Mark paid")).nth(nth)
    return page.locator(f"#{row.get_attribute('id')}")


def test_a_search_waits_for_a_pause_and_shows_in_the_address(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/?page=3")
    searches: list[str] = []
    page.on("request", lambda request: "event/search" in request.url and searches.append(request.url))
    page.get_by_role("searchbox").press_sequentially("zoe m", delay=20)
    expect(first(page)).to_contain_text("Zoe M")
    expect(page).to_have_url(ends("/orders/?q=zoe+m"))
    assert len(searches) == 1
    assert set(page.locator("tbody td:nth-child(3)").all_inner_texts()) == {"Zoe Moreau"}
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.get_by_role("searchbox").fill("nobody's")
    expect(page.get_by_text("No order fits “nobody's”.")).to_be_visible()


def test_sorting_and_paging_are_steps_that_back_and_forward_take(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    page.evaluate("window.same = true")
    newest = first(page).inner_text()
    page.get_by_role("link", name="€").click()
    expect(page).to_have_url(ends("/orders/?sort=total"))
    cheapest = first(page).inner_text()
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("/orders/?sort=total&page=2"))
    expect(first(page)).not_to_have_text(cheapest)
    page.go_back()
    expect(page.get_by_text("Page 1 of")).to_be_visible()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("€")
    assert first(page).inner_text() == cheapest
    page.go_back()
    expect(page.locator("[aria-sort=descending]")).to_have_text("Date")
    assert first(page).inner_text() == newest
    page.go_forward()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("€")
    page.get_by_role("link", name="€").click()
    expect(page).to_have_url(ends("/orders/?sort=-total"))
    assert page.evaluate("window.same") is True


def test_a_reload_and_a_shared_link_show_the_same(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    page.get_by_role("searchbox").fill("tanaka")
    expect(page).to_have_url(ends("?q=tanaka"))
    page.get_by_role("link", name="Customer").click()
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("?q=tanaka&sort=customer__name&page=2"))
    rows = page.locator("tbody").inner_text()
    page.reload()
    connected(page)
    expect(page.get_by_role("searchbox")).to_have_value("tanaka")
    assert page.locator("tbody").inner_text() == rows
    friend = visitors.at(server, page.url.removeprefix(server.url), name="ben")
    assert friend.locator("tbody").inner_text() == rows
    page.get_by_role("link", name="Back", exact=True).click()
    expect(page.get_by_text("Page 1 of")).to_be_visible()
    expect(friend.get_by_text("Page 2 of")).to_be_visible()


def test_back_from_another_page_finds_the_list_as_it_was(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    page.get_by_role("link", name="€").click()
    expect(page).to_have_url(ends("?sort=total"))
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("?sort=total&page=2"))
    rows = page.locator("tbody").inner_text()
    first(page).get_by_role("link").click()
    expect(page.get_by_role("link", name="All orders")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Page 2 of")).to_be_visible()
    assert page.locator("tbody").inner_text() == rows
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("?sort=total&page=3"))
    for path, text in [("?sort=total&page=2", "Page 2 of"), ("?sort=total", "Page 1 of"), ("/orders/", "Page 1 of")]:
        page.go_back()
        expect(page).to_have_url(ends(path))
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.locator("[aria-sort=descending]")).to_have_text("Date")


def test_links_in_the_list_tell_where_they_lead_after_an_event_too(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/?utm=7")
    page.get_by_role("link", name="€").click()
    expect(page).to_have_url(ends("/orders/?utm=7&sort=total"))
    expect(page.get_by_role("link", name="More")).to_have_attribute("href", "?utm=7&sort=total&page=2")
    expect(page.get_by_role("link", name="Status")).to_have_attribute("href", "?utm=7&sort=status")


@pytest.mark.parametrize(
    "query", ["?page=zero&sort=password", "?page=-3&q=%00", "?page=9999999999999999999", "?q=%F0%28"]
)
def test_a_nonsense_address_is_a_list(server: Server, visitors: Visitors, query: str) -> None:
    page = visitors.at(server, "/orders/" + query)
    expect(page.get_by_text(re.compile(r"Page \d+ of \d+"))).to_be_visible()


def test_each_row_works_and_spins_by_itself(server: Server, visitors: Visitors) -> None:
    page, other = visitors.at(server, "/orders/"), visitors.at(server, "/orders/", name="ben")
    rows = [unpaid_row(page, nth) for nth in range(3)]
    twins = [other.locator(f"#{row.get_attribute('id')}") for row in rows]
    for row in rows[:2]:
        row.get_by_role("button", name="Mark paid").click()
    for row, is_busy in zip(rows, [True, True, False], strict=True):
        button, spinner = row.get_by_role("button", name="Cancel"), row.locator(".live-spinner")
        (expect(button).to_be_disabled if is_busy else expect(button).to_be_enabled)()
        (expect(spinner).to_be_visible if is_busy else expect(spinner).to_be_hidden)()
    for each in (rows, twins):
        for row, status in zip(each, ["Paid", "Paid", "Unpaid"], strict=True):
            expect(row.locator(".badge")).to_have_text(status)
            expect(row.locator(".live-spinner")).to_be_hidden()


def test_a_step_that_was_taken_meanwhile_is_refused_in_words(server: Server, visitors: Visitors) -> None:
    page, other = visitors.at(server, "/orders/"), visitors.at(server, "/orders/", name="ben")
    row = unpaid_row(page)
    twin = other.locator(f"#{row.get_attribute('id')}")
    row.get_by_role("button", name="Mark paid").click()
    expect(row.get_by_role("button", name="Mark paid")).to_be_disabled()
    twin.get_by_role("button", name="Mark paid").click()
    for each in (row, twin):
        expect(each.locator(".badge")).to_have_text("Paid")
    expect(other.locator(".live-toast")).to_contain_text("This order has moved on meanwhile.")
    expect(page.locator(".live-toast")).to_have_count(0)


def test_a_confirmation_stands_beside_an_event(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    row = unpaid_row(page)
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".badge")).to_have_text("Unpaid")
    assert asked[0].startswith("Cancel order B-")
    expect(row.get_by_role("button", name="Cancel")).to_be_enabled()
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".badge")).to_have_text("Cancelled")


def test_plain_htmx_in_a_live_view_is_plain_htmx(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    row = page.locator("tr", has=page.get_by_role("button", name="Lines")).first  # a colleague's, or one that has left
    number = row.locator("th").inner_text()
    row.get_by_role("button", name="Lines").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(f"Order {number}")
    expect(dialog.locator("tfoot")).to_contain_text(row.locator("td.number").inner_text())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="€").click()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("€")


def test_a_dialog_loaded_by_plain_htmx_joins_the_page_with_its_live_view(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    streams: list[str] = []
    page.on("request", lambda request: "/stream/" in request.url and streams.append(request.url))
    page.get_by_role("button", name="New order").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Quantity").fill("0")
    expect(dialog.get_by_text("greater than or equal to 1")).to_be_visible()
    dialog.get_by_label("Quantity").fill("2")
    expect(dialog.get_by_text("greater than or equal to 1")).to_be_hidden()
    dialog.get_by_label("Customer").select_option(index=3)
    dialog.get_by_label("Product").select_option(label="Forest honey, 500 g")
    dialog.get_by_role("button", name="Place order").click()
    expect(dialog.get_by_role("status")).to_contain_text("is placed: 20.80 €")
    expect(dialog.get_by_label("Quantity")).to_have_value("1")
    expect(first(page)).to_contain_text("20.80")  # the list, pushed on the one stream of the page
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    assert streams == []


def test_without_javascript_links_and_a_form_do_it(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/", java_script_enabled=False)
    page.get_by_role("searchbox").fill("tanaka")
    page.get_by_role("button", name="Search").click()
    assert page.url.endswith("/orders/?q=tanaka")
    page.get_by_role("link", name="€").click()
    page.get_by_role("link", name="More").click()
    assert page.url.endswith("/orders/?q=tanaka&sort=total&page=2")
    totals = [float(text.replace(",", "")) for text in page.locator("tbody td.number").all_inner_texts()]
    assert totals == sorted(totals) and len(totals) == 12
    page.get_by_role("searchbox").fill("tan")
    page.get_by_role("button", name="Search").click()
    assert page.url.endswith("/orders/?q=tan&sort=total")


def test_without_javascript_a_row_is_acted_on_and_an_order_placed(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/", java_script_enabled=False)
    expect(page.get_by_role("button", name="Lines").first).to_be_hidden()
    row = unpaid_row(page)
    row.get_by_role("button", name="Mark paid").click()
    for _ in range(40):
        if row.locator(".badge").inner_text() == "Paid":
            break
        page.goto(server.url + "/orders/")
    expect(row.locator(".badge")).to_have_text("Paid")
    page.get_by_role("link", name="New order").click()
    page.get_by_label("Customer").select_option(index=3)
    page.get_by_label("Product").select_option(label="Forest honey, 500 g")
    page.get_by_label("Quantity").fill("3")
    page.get_by_role("button", name="Place order").click()
    expect(page.get_by_role("status")).to_contain_text("is placed: 31.20 €")


def test_a_restarted_server_goes_on_with_the_list_that_the_address_names(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/", offline_is_fine=True)
    page.get_by_role("searchbox").fill("tanaka")
    expect(page).to_have_url(ends("?q=tanaka"))
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("?q=tanaka&page=2"))
    rows = page.locator("tbody").inner_text()
    server.kill()
    expect(page.locator(".live-banner")).to_be_visible()
    server.start()
    expect(page.locator(".live-banner")).to_be_hidden()
    assert page.locator("tbody").inner_text() == rows
    page.get_by_role("link", name="More").click()
    expect(page).to_have_url(ends("?q=tanaka&page=3"))
    expect(page.get_by_text("Page 3 of")).to_be_visible()


def test_orders_that_come_in_leave_a_search_alone_that_is_being_typed(server: Server, visitors: Visitors) -> None:
    page = visitors.at(server, "/orders/")
    other = visitors.at(server, "/dashboard/", name="ben")
    box = page.get_by_role("searchbox")
    for letter in "tanak":
        other.get_by_role("button", name="Let somebody order something").click()
        box.press_sequentially(letter, delay=150)
        expect(other.get_by_role("button", name="Let somebody order something")).to_be_enabled()
    box.press_sequentially("a")
    expect(page).to_have_url(ends("?q=tanaka"))
    expect(box).to_have_value("tanaka")
    assert {text.split()[-1] for text in page.locator("tbody td:nth-child(3)").all_inner_texts()} == {"Tanaka"}
