"""Forms, filled in by somebody at Chromium against a real uvicorn."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.server import Server

pytestmark = pytest.mark.browser

expect.set_options(timeout=15_000)

PATIENT = "(n) => new Promise((go) => setTimeout(go, n))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("forms") / "server.log"
    with Server(
        "tests.views.forms.asgi:application", log=log, env={"DJANGO_SETTINGS_MODULE": "tests.views.forms.settings"}
    ) as up:
        yield up


Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, site: Server) -> Iterator[Open]:
    """Opens a page of the site; no script on it may fail."""
    contexts, complaints = [], []

    def go(path: str, **options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site.url + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def caret(page: Page, id: str) -> int:
    found: int = page.evaluate("(id) => document.getElementById(id).selectionStart", id)
    return found


def validated(page: Page, act: Callable[[], object]) -> None:
    """Do ``act``, and wait until its validation has been applied."""
    with page.expect_response(lambda answer: answer.url.endswith("/validate/")) as answered:
        act()
    if answered.value.status == 200:
        page.wait_for_function(
            "(rev) => +document.querySelector('[data-live]').dataset.liveRev >= rev", arg=rev_of(answered.value.text())
        )


def rev_of(text: str) -> int:
    return int(text.split('data-live-rev="')[1].split('"')[0])


def test_an_error_appears_while_typing_and_focus_and_caret_stay(visit: Open) -> None:
    page = visit("/sign-up/")
    page.focus("#id_email")
    page.keyboard.type("nowhere")
    page.keyboard.press("Home")
    validated(page, lambda: page.keyboard.type("x"))
    expect(page.locator("#id_email_error")).to_have_text("Enter a valid email address.")
    expect(page.locator("#id_email")).to_be_focused()
    expect(page.locator("#id_email")).to_have_attribute("aria-describedby", "id_email_error")
    page.keyboard.type("yz")
    expect(page.locator("#id_email")).to_have_value("xyznowhere")
    expect(page.locator(".errorlist")).to_have_count(1)


def test_typing_through_an_answer_loses_nothing(visit: Open) -> None:
    page = visit("/sign-up/")
    page.focus("#id_name")
    with page.expect_response(lambda answer: answer.url.endswith("/validate/")):
        with page.expect_request(lambda request: request.url.endswith("/validate/")):
            page.keyboard.type("Ann")
        page.keyboard.type("a Be")
    page.keyboard.type("rta")
    expect(page.locator("#id_name")).to_have_value("Anna Berta")
    assert caret(page, "id_name") == 10


def test_what_was_chosen_stays_chosen_through_a_validation(visit: Open) -> None:
    page = visit("/sign-up/")
    page.select_option("#id_sizes", ["s", "l"])
    page.check("#id_fits_1")
    page.check("#id_extras_0")
    page.fill("#id_password", "correct horse")
    validated(page, lambda: page.fill("#id_email", "nowhere"))
    expect(page.locator("#id_email_error")).to_be_visible()
    expect(page.locator("#id_sizes")).to_have_values(["s", "l"])
    expect(page.locator("#id_fits_1")).to_be_checked()
    expect(page.locator("#id_extras_0")).to_be_checked()
    expect(page.locator("#id_password")).to_have_value("correct horse")


def test_a_file_goes_up_with_save_and_not_with_typing(visit: Open, tmp_path: Path) -> None:
    page = visit("/sign-up/")
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    (tmp_path / "me.txt").write_text("the picture")
    page.set_input_files("#id_photo", tmp_path / "me.txt")
    page.fill("#id_password", "correct horse")
    page.fill("#id_email", "a@example.com")
    page.check("#id_agree")
    validated(page, lambda: page.fill("#id_name", "Anna"))
    assert all("the picture" not in (request.post_data or "") for request in sent)
    page.click("text=Save")
    expect(page.locator("output")).to_have_text("['Anna', [], 'the picture']")
    expect(page.locator("#id_name")).to_have_value("")
    expect(page.locator("#id_password")).to_have_value("")
    expect(page.locator("#id_agree")).not_to_be_checked()
    assert page.input_value("#id_photo") == ""


def test_enter_right_after_typing_saves_and_leaves_a_fresh_form(visit: Open) -> None:
    page = visit("/sign-up/")
    for id, text in {"#id_password": "correct horse", "#id_email": "a@example.com"}.items():
        page.fill(id, text)
    page.check("#id_agree")
    page.focus("#id_name")
    page.keyboard.type("Anna")
    page.keyboard.press("Enter")
    expect(page.locator("output")).to_have_text("['Anna', [], None]")
    page.evaluate(PATIENT, 700)  # the debounce of what was typed has passed
    expect(page.locator("body.live-loading")).to_have_count(0)
    expect(page.locator("#id_name")).to_have_value("")
    expect(page.locator(".errorlist")).to_have_count(0)


def test_an_invalid_form_keeps_what_was_typed_a_password_too(visit: Open) -> None:
    page = visit("/sign-up/")
    page.fill("#id_name", "Anna")
    page.fill("#id_email", "a@example.com")
    page.fill("#id_password", "short")
    page.evaluate("document.querySelector('form').noValidate = true")
    page.click("text=Save")
    expect(page.locator("#id_agree_error")).to_be_visible()
    expect(page.locator("#id_password_error")).to_be_visible()
    expect(page.locator("#id_password")).to_have_value("short")
    expect(page.locator("#id_name")).to_have_value("Anna")


def test_rows_come_and_go_with_what_was_typed_into_them(visit: Open) -> None:
    page = visit("/lines/")
    page.fill("#id_form-1-name", "second")
    page.click("text=Add")
    page.fill("#id_form-2-name", "third")
    page.fill("#id_form-2-count", "7")
    page.click("#row-1 >> text=Remove")
    expect(page.locator("#row-2")).to_have_count(0)
    expect(page.locator("#id_form-1-name")).to_have_value("third")
    expect(page.locator("#id_form-1-count")).to_have_value("7")
    page.click("text=Add")
    expect(page.locator("#id_form-2-count")).to_have_value("1")
    page.click("#row-0 >> text=Remove")
    expect(page.locator("#row-0")).to_be_hidden()
    page.fill("#id_form-2-name", "fourth")
    page.click("#save")
    expect(page.locator("output")).to_have_text("['third', 'fourth']")


def test_enter_in_a_row_saves(visit: Open) -> None:
    page = visit("/lines/")
    page.fill("#id_form-1-name", "second")
    page.press("#id_form-1-name", "Enter")
    expect(page.locator("output")).to_have_text("['second']")


def test_rows_come_and_go_without_javascript(visit: Open) -> None:
    page = visit("/lines/", java_script_enabled=False)
    page.fill("#id_form-1-name", "second")
    page.click("text=Add")
    page.fill("#id_form-2-name", "third")
    page.click("#row-1 >> text=Remove")
    page.click("#save")
    expect(page.locator("output")).to_have_text("['third']")


def test_a_reload_brings_back_what_was_typed(visit: Open) -> None:
    page = visit("/sign-up/")
    validated(page, lambda: page.fill("#id_email", "nowhere"))
    page.reload()
    expect(page.locator("#id_email")).to_have_value("nowhere")
    expect(page.locator("#id_email_error")).to_be_visible()


def test_the_form_works_without_javascript(visit: Open) -> None:
    page = visit("/sign-up/", java_script_enabled=False)
    page.fill("#id_name", "Anna")
    page.fill("#id_email", "anna@nowhere")
    page.fill("#id_password", "correct horse")
    page.select_option("#id_sizes", ["m"])
    page.check("#id_agree")
    page.click("text=Save")
    expect(page.locator("#id_email_error")).to_have_text("Enter a valid email address.")
    expect(page.locator("#id_name")).to_have_value("Anna")
    expect(page.locator("#id_sizes")).to_have_values(["m"])
    page.fill("#id_email", "anna@example.com")
    page.fill("#id_password", "correct horse")
    page.click("text=Save")
    expect(page.locator("output")).to_have_text("['Anna', ['m'], None]")
    expect(page.locator("#id_name")).to_have_value("")
