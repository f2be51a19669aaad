"""The demo's shared note: two people write one text at once."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.visitors import Visitors, visiting
from tests.server import Server, demo_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("notes")) as running:
        yield running


@pytest.fixture
def server(demo: Server) -> Server:
    """The demo, whose note says again what it said at first."""
    content = import_module("demo.notes.migrations.0002_first_note").CONTENT
    with closing(sqlite3.connect(demo.env["DEMO_DATABASE"], timeout=20)) as database, database:
        database.execute("UPDATE notes_note SET content = ?", (content,))
    return demo


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def write(page: Page) -> Locator:
    """Opens the box; the caret stands at its end."""
    page.get_by_role("button", name="Write").click()
    box = page.get_by_role("textbox")
    box.press("Control+End")
    return box


def caret(box: Locator) -> int:
    position: int = box.evaluate("(box) => box.selectionStart")
    return position


def test_two_who_type_at_the_same_time_lose_nothing(server: Server, visitors: Visitors) -> None:
    anna, ben = visitors.at(server, "/note/"), visitors.at(server, "/note/", name="ben")
    hers, his = write(anna), write(ben)
    his.press("Control+Home")
    for one, other in zip("Bring the cheese!", "ATTENTION PLEASE ", strict=True):
        hers.press_sequentially(one, delay=30)
        his.press_sequentially(other, delay=30)
    assert hers.input_value().endswith("fetch the ice\nBring the cheese!")
    assert his.input_value().startswith("ATTENTION PLEASE Saturday")
    for page in (anna, ben):
        expect(page.locator(".message .note")).to_contain_text("ATTENTION PLEASE Saturday")
        expect(page.locator(".message .note")).to_contain_text("Bring the cheese!")
    anna.get_by_role("button", name="Done").click()
    ben.get_by_role("button", name="Done").click()
    for page in (anna, ben):
        expect(page.get_by_role("button", name="Write")).to_be_visible()
        text = page.locator("p.note").inner_text()
        assert (text.startswith("ATTENTION PLEASE Saturday"), text.endswith("ice\nBring the cheese!")) == (True, True)


def test_the_caret_stays_where_it_is_while_somebody_else_writes(server: Server, visitors: Visitors) -> None:
    anna, ben = visitors.at(server, "/note/"), visitors.at(server, "/note/", name="ben")
    hers, his = write(anna), write(ben)
    hers.evaluate("(box) => box.setSelectionRange(8, 8)")
    his.press_sequentially("and napkins")
    expect(anna.locator(".message .note")).to_contain_text("and napkins")
    assert (caret(hers), hers.evaluate("(box) => box === document.activeElement")) == (8, True)
    anna.keyboard.type("XY")
    assert (hers.input_value()[6:12], caret(hers)) == ("ayXY's", 10)
    expect(ben.locator(".message .note")).to_contain_text("SaturdayXY's")
    assert (hers.input_value()[6:12], caret(hers)) == ("ayXY's", 10)


def test_a_lone_writer_is_never_rendered_again_and_readers_follow(server: Server, visitors: Visitors) -> None:
    anna, ben = visitors.at(server, "/note/"), visitors.at(server, "/note/", name="ben")
    hers = write(anna)
    rev = anna.locator("[data-live]").get_attribute("data-live-rev")
    hers.press_sequentially("Music, too.")
    expect(ben.locator("p.note")).to_contain_text("Music, too.")
    assert anna.locator("[data-live]").get_attribute("data-live-rev") == rev
    hers.press("Control+A")
    hers.press("Delete")
    expect(ben.locator("p.note")).to_have_text("Nobody has written anything yet.")


def test_what_a_widget_did_to_the_box_is_kept_through_swaps(server: Server, visitors: Visitors) -> None:
    anna, ben = visitors.at(server, "/note/"), visitors.at(server, "/note/", name="ben")
    box = write(anna)
    box.evaluate("(box) => { window.box = box; box.style.height = '333px'; box.classList.add('editor') }")
    write(ben).press_sequentially("and napkins")
    expect(anna.locator(".message .note")).to_contain_text("and napkins")
    assert box.evaluate("(box) => [box === window.box, box.style.height, box.className]") == [True, "333px", "editor"]


def test_a_reload_goes_on_where_the_writer_was(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/note/")
    write(anna).press_sequentially("Music, too.")
    with anna.expect_response(lambda response: "update_content" in response.url):
        anna.keyboard.type("!")
    with anna.expect_response(lambda response: "/live/sync/" in response.url):  # the page takes over what it was
        anna.reload()
    expect(anna.locator("body.live-loading")).to_have_count(0)
    box = anna.get_by_role("textbox")
    expect(box).to_have_value(re.compile(r"Music, too\.!$"))
    box.press("Control+End")
    box.press_sequentially(" Loud.")
    anna.get_by_role("button", name="Done").click()
    expect(anna.locator("p.note")).to_contain_text("Music, too.! Loud.")


def test_a_note_is_written_without_javascript(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/note/", java_script_enabled=False)
    anna.get_by_role("button", name="Write").click()
    anna.get_by_role("textbox").fill("One line\nand <another>")
    anna.get_by_role("button", name="Done").click()
    assert anna.locator("p.note").inner_text() == "One line\nand <another>"


def test_what_is_typed_while_the_server_restarts_is_not_lost(server: Server, visitors: Visitors) -> None:
    anna = visitors.at(server, "/note/", offline_is_fine=True)
    box = write(anna)
    box.press_sequentially("Before. ")
    expect(anna.locator("body")).not_to_have_class(re.compile("live-loading"))
    server.kill()
    expect(anna.locator(".live-banner")).to_be_visible()
    box.press_sequentially("Meanwhile. ")
    with closing(sqlite3.connect(server.env["DEMO_DATABASE"], timeout=20)) as database, database:
        database.execute("UPDATE notes_note SET content = 'Ben was first. ' || content")
    server.start()
    expect(anna.locator(".live-banner")).to_be_hidden()
    expect(box).to_have_value(re.compile("Before. Meanwhile. $"))
    box.press_sequentially("After.")
    anna.get_by_role("button", name="Done").click()
    expect(anna.locator("p.note")).to_contain_text("Ben was first. Saturday's tasting")
    expect(anna.locator("p.note")).to_contain_text("Before. Meanwhile. After.")
