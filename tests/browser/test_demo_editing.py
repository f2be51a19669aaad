"""The demo's order is edited: in a page, in a dialog, and without JavaScript."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser
PDF = {"name": "note.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 first"}
PHOTO = {"name": "photo.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n second"}
SCRIPTS = pytest.mark.parametrize("scripted", [True, False], ids=["script", "no script"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("editing")) as running:
        yield running


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


@pytest.fixture
def number(server: Server) -> str:
    """The newest order of Anna's: unpaid, with two lines of 3 spelt spaghetti and 1 honey, and without a file."""
    newest = "SELECT o.id, number FROM shop_order o JOIN auth_user u ON u.id = clerk_id WHERE username = 'anna'"
    with closing(sqlite3.connect(server.env["DEMO_DATABASE"], timeout=20)) as database, database:
        pk, number = database.execute(f"{newest} ORDER BY placed_at DESC, o.id DESC LIMIT 1").fetchone()
        plain = "status = 'open', total = 22.10, attachment = '', note = '', deliver_on = NULL"
        database.execute(f"UPDATE shop_order SET {plain} WHERE id = ?", [pk])
        database.execute("DELETE FROM shop_orderline WHERE order_id = ?", [pk])
        for product, count in [("Spelt spaghetti, 500 g", 3), ("Forest honey, 500 g", 1)]:
            line = "SELECT ?, id, ?, price FROM shop_product WHERE name = ?"
            columns = "order_id, product_id, quantity, unit_price"
            database.execute(f"INSERT INTO shop_orderline ({columns}) {line}", [pk, count, product])
    return str(number)


def at(visitors: Visitors, server: Server, number: str, *, scripted: bool = True) -> Page:
    return visitors.at(server, f"/orders/{number}/edit/", java_script_enabled=scripted)


def lines(page: Page) -> Locator:
    return page.locator("fieldset.line:visible")


def total(page: Page) -> Locator:
    return page.locator(".sum output")


def said(page: Page, text: str) -> None:
    """A toast, or without a script a message on the page."""
    expect(page.locator(".live-toast, main > .message").filter(has_text=text).last).to_be_visible()


def test_a_field_says_what_is_wrong_while_it_is_typed(server: Server, visitors: Visitors, number: str) -> None:
    page = at(visitors, server, number)
    day = page.get_by_label("Deliver on")
    day.fill("2020-01-06")
    expect(page.get_by_text("The order was placed later than that.")).to_be_visible()
    expect(day).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#{day.get_attribute('aria-describedby')}")).to_have_text(
        "The order was placed later than that."
    )
    day.fill("2027-01-03")
    expect(page.get_by_text("Nothing is delivered on a Sunday.")).to_be_visible()
    day.fill("2027-01-04")
    expect(page.locator(".errorlist")).to_have_count(0)
    assert day.get_attribute("aria-invalid") is None


def test_the_total_follows_the_lines_while_they_are_typed(server: Server, visitors: Visitors, number: str) -> None:
    page = at(visitors, server, number)
    expect(total(page)).to_have_text("22.10 €")
    page.get_by_label("Quantity").first.fill("5")
    expect(total(page)).to_have_text("29.90 €")
    page.get_by_label("Quantity").first.fill("100")
    expect(page.get_by_text("less than or equal to 99")).to_be_visible()
    expect(total(page)).to_have_text("10.40 €")
    page.get_by_label("Quantity").first.fill("1")
    expect(total(page)).to_have_text("14.30 €")
    page.get_by_label("Product").first.select_option(label="Walnut oil, 250 ml")
    expect(total(page)).to_have_text("26.60 €")


@SCRIPTS
def test_lines_come_and_go_and_are_saved(server: Server, visitors: Visitors, number: str, scripted: bool) -> None:
    page = at(visitors, server, number, scripted=scripted)
    page.get_by_role("button", name="Add a line").click()
    expect(lines(page)).to_have_count(3)
    page.get_by_label("Product").nth(2).select_option(label="Earl Grey, loose, 200 g")
    page.get_by_label("Quantity").nth(2).fill("2")
    page.get_by_role("button", name="Remove line 1", exact=True).click()
    expect(lines(page)).to_have_count(2)
    expect(total(page)).to_have_text("29.20 €")
    page.get_by_role("button", name="Save lines").click()
    said(page, f"The lines of order {number} are saved.")
    page.goto(f"{server.url}/orders/{number}/")
    expect(page.locator("tfoot")).to_contain_text("29.20")
    assert page.locator("tbody th").all_inner_texts() == ["Forest honey, 500 g", "Earl Grey, loose, 200 g"]


@SCRIPTS
def test_an_order_keeps_one_line_at_least(server: Server, visitors: Visitors, number: str, scripted: bool) -> None:
    page = at(visitors, server, number, scripted=scripted)
    for left in (1, 0):
        page.get_by_role("button", name=re.compile("Remove line")).locator("visible=true").first.click()
        expect(lines(page)).to_have_count(left)
    page.get_by_role("button", name="Save lines").click()
    expect(page.get_by_text("An order has at least one line.")).to_be_visible()


@SCRIPTS
def test_a_file_is_kept_replaced_and_removed(server: Server, visitors: Visitors, number: str, scripted: bool) -> None:
    page = at(visitors, server, number, scripted=scripted)
    for file, other in [(PDF, PHOTO), (PHOTO, PDF)]:
        page.get_by_label("Delivery note").set_input_files(file)
        page.get_by_role("button", name="Save details").click()
        expect(page.get_by_role("link", name=str(file["name"]))).to_be_visible()
        expect(page.get_by_role("link", name=str(other["name"]))).to_have_count(0)
        served = page.request.get(f"{server.url}/orders/{number}/attachment/")
        assert served.body() == file["buffer"]
        assert served.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
    page.get_by_label("Note for the courier").fill("Ring twice")
    with page.expect_response("**/event/save/"):
        page.get_by_role("button", name="Save details").click()
    expect(page.get_by_role("button", name="Save details")).to_be_enabled()  # the form begins anew
    expect(page.get_by_role("link", name="photo.png")).to_be_visible()
    page.get_by_label("Remove it").check()
    page.get_by_role("button", name="Save details").click()
    expect(page.get_by_role("link", name="photo.png")).to_have_count(0)
    assert page.request.get(f"{server.url}/orders/{number}/attachment/").status == 404


@SCRIPTS
def test_what_a_file_is_not_is_said_and_the_rest_stays(
    server: Server, visitors: Visitors, number: str, scripted: bool
) -> None:
    page = at(visitors, server, number, scripted=scripted)
    page.get_by_label("Note for the courier").fill("Ring twice")
    page.get_by_label("Delivery note").set_input_files({**PDF, "buffer": b"MZ, a program"})
    page.get_by_role("button", name="Save details").click()
    expect(page.get_by_text("This is neither a PDF nor a PNG or JPEG picture.")).to_be_visible()
    expect(page.get_by_label("Note for the courier")).to_have_value("Ring twice")


def test_an_order_is_deleted_once_that_is_confirmed(server: Server, visitors: Visitors, number: str) -> None:
    page = at(visitors, server, number)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("link", name="Delete order").click()
    expect(page.get_by_role("heading", name=f"Order {number}")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Delete order").click()
    expect(page).to_have_url(server.url + "/orders/")
    said(page, f"Order {number} is deleted.")
    assert page.request.get(f"{server.url}/orders/{number}/").status == 404


def test_without_javascript_a_page_asks_before_an_order_is_deleted(
    server: Server, visitors: Visitors, number: str
) -> None:
    page = at(visitors, server, number, scripted=False)
    page.get_by_role("link", name="Delete order").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("link", name="Delete order").click()
    page.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(server.url + "/orders/")
    said(page, f"Order {number} is deleted.")
    assert page.request.get(f"{server.url}/orders/{number}/").status == 404


def test_without_javascript_errors_stand_in_the_form_that_was_sent(
    server: Server, visitors: Visitors, number: str
) -> None:
    page = at(visitors, server, number, scripted=False)
    page.get_by_label("Deliver on").fill("2027-01-03")
    page.get_by_role("button", name="Save details").click()
    expect(page.get_by_text("Nothing is delivered on a Sunday.")).to_be_visible()
    expect(page.get_by_label("Deliver on")).to_have_value("2027-01-03")


def test_a_dialog_edits_an_order_and_the_list_behind_it_follows(
    server: Server, visitors: Visitors, number: str
) -> None:
    page = visitors.at(server, "/orders/")
    row = page.locator("tr", has=page.get_by_role("link", name=number))
    row.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Quantity").first.fill("0")
    expect(dialog.get_by_text("greater than or equal to 1")).to_be_visible()
    dialog.get_by_label("Quantity").first.fill("7")
    expect(dialog.locator(".sum output")).to_have_text("37.70 €")
    dialog.get_by_role("button", name="Save lines").click()
    said(page, f"The lines of order {number} are saved.")
    expect(row.locator("td.number")).to_have_text("37.70")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_typing_into_one_form_is_not_disturbed_by_the_other(server: Server, visitors: Visitors, number: str) -> None:
    page = at(visitors, server, number)
    note = page.get_by_label("Note for the courier")
    note.press_sequentially("Ring tw")
    page.get_by_label("Quantity").first.fill("2")
    expect(total(page)).to_have_text("18.20 €")
    note.press("End")
    note.press_sequentially("ice")
    page.get_by_role("button", name="Save lines").click()
    said(page, "are saved.")
    expect(note).to_have_value("Ring twice")
