"""Rows of a table that are live views: they stay, come, move and go while their parent renders."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.server import Server

pytestmark = pytest.mark.browser

expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("nested") / "server.log"
    with Server(
        "tests.views.forms.asgi:application", log=log, env={"DJANGO_SETTINGS_MODULE": "tests.views.forms.settings"}
    ) as up:
        yield up


Open = Callable[[str], Page]


@pytest.fixture
def visit(browser: Browser, site: Server) -> Iterator[Open]:
    """Opens a page of the site; no script on it may fail."""
    complaints: list[str] = []
    context = browser.new_context()

    def go(path: str) -> Page:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site.url + path)
        return page

    yield go
    context.close()
    assert complaints == []


def rows(page: Page, *numbers: int) -> None:
    """The table shows these rows, in this order."""
    expect(page.locator("tbody > tr > th")).to_have_text([f"Row {number}" for number in numbers])


def button(page: Page, row: int) -> Locator:
    return page.locator("tr", has_text=f"Row {row}").get_by_role("button")


def test_rows_are_rows_of_the_table_before_and_after_an_event_of_their_own(visit: Open) -> None:
    page = visit("/table/")
    rows(page, 1, 2, 3)
    before = page.locator("[data-live]").first.get_attribute("data-live-rev")
    button(page, 2).click()
    expect(button(page, 2)).to_have_text("1")
    rows(page, 1, 2, 3)
    assert page.locator("[data-live]").first.get_attribute("data-live-rev") == before  # its parent was not rendered


def test_rows_come_move_and_go_and_keep_what_they_have(visit: Open) -> None:
    page = visit("/table/")
    button(page, 2).click()
    expect(button(page, 2)).to_have_text("1")
    page.get_by_label("Note 3").fill("typed")
    page.get_by_role("button", name="Reverse").click()
    rows(page, 3, 2, 1)
    page.get_by_role("button", name="Add").click()
    rows(page, 3, 2, 1, 4)
    expect(button(page, 2)).to_have_text("1")
    expect(page.get_by_label("Note 3")).to_have_value("typed")
    page.get_by_role("button", name="Drop").click()
    rows(page, 2, 1, 4)
    for row, count in [(4, "1"), (2, "2")]:
        button(page, row).click()
        expect(button(page, row)).to_have_text(count)


def test_a_parent_that_is_pushed_to_leaves_a_row_alone_that_is_typed_into(visit: Open) -> None:
    page = visit("/ticking/")
    field, ticks = page.get_by_label("Note 2"), page.locator("#ticks")
    field.evaluate("(one) => void (one.same = true)")
    for letter in "typed":
        seen = ticks.inner_text()
        field.press_sequentially(letter)
        expect(ticks).not_to_have_text(seen)
    expect(field).to_be_focused()
    expect(field).to_have_value("typed")
    assert field.evaluate("(one) => one.same") is True
    rows(page, 1, 2, 3)
