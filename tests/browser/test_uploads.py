"""Files, sent by somebody at Chromium to a real uvicorn."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import on, root, swap
from tests.server import Server

pytestmark = pytest.mark.browser

expect.set_options(timeout=15_000)


@dataclass(frozen=True)
class Site:
    """A running site, and the folders of its storage and of its temporary files."""

    server: Server
    media: Path
    temporary: Path

    def left(self) -> list[str]:
        """The files in both."""
        return [path.name for folder in (self.media, self.temporary) for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    media, temporary = tmp_path_factory.mktemp("media"), tmp_path_factory.mktemp("temporary")
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.runtime.uploads.settings",
        "UPLOADS_MEDIA": str(media),
        "UPLOADS_TEMPORARY": str(temporary),
    }
    log = tmp_path_factory.mktemp("uploads") / "server.log"
    with Server("tests.runtime.uploads.asgi:application", log=log, env=env) as up:
        yield Site(server=up, media=media, temporary=temporary)


Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Open]:
    """Opens a page of the site; no script on it may fail, and no file may be left in the end."""
    contexts, complaints = [], []

    def go(path: str, **options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site.server.url + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert (complaints, site.left()) == ([], [])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files that fit, one of them too large for memory, and one that is too large for the site."""
    sizes = {"small.txt": 5, "medium.txt": 50_000, "large.txt": 150_000}
    paths = [tmp_path / name for name in sizes]
    for path, size in zip(paths, sizes.values(), strict=True):
        path.write_text("x" * size)
    return paths


def test_several_files_go_up_with_a_form_and_the_field_is_empty_again(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/")
    page.set_input_files("[name=files]", files[:2])
    page.fill("[name=note]", "two files")
    page.click("text=Upload")
    expect(page.locator("li")).to_have_count(2)
    expect(page.locator("p")).to_have_text("two files")
    assert page.locator("li").all_inner_texts() == ["small.txt: xxxxx", f"medium.txt: {'x' * 50_000}"]
    assert page.input_value("[name=files]") == ""


def test_one_file_goes_up_when_it_is_chosen(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/")
    page.set_input_files("[name=photo]", files[0])
    expect(page.locator("li")).to_have_text("small.txt: xxxxx")


def test_the_form_of_a_form_view_brings_its_file(visit: Open, files: list[Path]) -> None:
    page = visit("/order/")
    page.fill("[name=title]", "An order")
    page.set_input_files("[name=attachment]", files[0])
    page.click("text=Save")
    expect(page.locator("li")).to_have_text("xxxxx")
    expect(page.locator("[name=title]")).to_have_value("")
    assert page.input_value("[name=attachment]") == ""


def test_a_file_that_is_too_large_is_said_in_words_and_the_choice_stays(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/")
    page.set_input_files("[name=files]", files)
    page.fill("[name=note]", "three files")
    page.click("text=Upload")
    expect(page.locator(".live-toasts")).to_contain_text("large.txt is too large: a file may have 97.7\xa0KB.")
    expect(page.locator("[name=note]")).to_have_value("three files")
    assert page.eval_on_selector("[name=files]", "(field) => field.files.length") == 3
    page.set_input_files("[name=files]", files[0])
    page.click("text=Upload")
    expect(page.locator("li")).to_have_text("small.txt: xxxxx")


def test_too_many_files_are_said_in_words(visit: Open, tmp_path: Path) -> None:
    page = visit("/inbox/")
    many = [tmp_path / f"{number}.txt" for number in range(4)]
    for path in many:
        path.write_text("x")
    page.set_input_files("[name=files]", many)
    page.click("text=Upload")
    expect(page.locator(".live-toasts")).to_contain_text("Too many files: at most 3 can be sent at once.")


def test_loading_shows_while_the_file_is_on_its_way(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/")
    expect(page.get_by_text("Uploading…")).to_be_hidden()
    with page.expect_request("**/event/upload/") as sent:
        held = []
        page.route("**/event/upload/", lambda route: held.append(route))
        page.set_input_files("[name=files]", files[0])
        page.click("text=Upload")
    assert sent.value.method == "POST"
    expect(page.get_by_text("Uploading…")).to_be_visible()
    expect(page.get_by_role("button", name="Upload")).to_be_disabled()
    held[0].continue_()
    expect(page.locator("li")).to_have_text("small.txt: xxxxx")
    expect(page.get_by_text("Uploading…")).to_be_hidden()


def test_files_go_up_without_javascript(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/", java_script_enabled=False)
    page.set_input_files("[name=files]", files[:2])
    page.click("text=Upload")
    page.wait_for_url("**/inbox/**")
    for _ in range(50):
        if page.locator("li").count() == 2:
            break
        page.reload()
    expect(page.locator("li")).to_have_count(2)


def test_without_javascript_a_page_says_what_is_too_large(visit: Open, files: list[Path]) -> None:
    page = visit("/inbox/", java_script_enabled=False)
    page.set_input_files("[name=files]", files[2])
    page.click("text=Upload")
    expect(page.locator("body")).to_contain_text("large.txt is too large: a file may have 97.7\xa0KB.")


FIELD = '<input type="file" name="files" multiple>'
SLOW = 60_000  # bytes per second


def form(inner: str = FIELD) -> str:
    return (
        f'<form {on("upload", event="submit")} hx-encoding="multipart/form-data">{inner}<button>Upload</button></form>'
    )


def slow(page: Page, speed: int = SLOW) -> None:
    """From now on bytes go up slowly; -1 for as fast as can be."""
    line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": speed}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)


def begin(live: LivePage, body: str, *paths: Path) -> None:
    """Shows ``body`` and sends the files of its form; notes what the upload says of itself."""
    live.open(root(body))
    live.page.evaluate("addEventListener('live:upload', ({detail: {sent, total}}) => seen.push([sent, total]))")
    slow(live.page)
    live.page.set_input_files("[name=files]", paths)
    live.page.click("text=Upload")


@BOTH
def test_a_bar_shows_how_much_is_sent_then_waits_for_the_answer(live: LivePage, files: list[Path]) -> None:
    begin(live, form(), files[1], files[2])
    bar, cancel = live.page.locator("input + .live-upload progress"), live.page.get_by_role("button", name="Cancel")
    live.until("(document.querySelector('progress')?.value || 0) > 0")
    expect(cancel).to_be_visible()
    expect(live.page.locator("[data-live-upload-text]")).to_have_text(re.compile(r"^\d+ %$"))
    event = live.event()
    expect(live.page.locator("[data-live-upload-text]")).to_have_text("Processing…")
    expect(live.page.locator(".live-upload [role=status]")).to_have_text("Processing…")
    expect(bar).not_to_have_attribute("value", re.compile(""))
    expect(cancel).to_be_hidden()
    event.answer(swap(form("done"), rev=2))
    expect(live.page.locator("form")).to_have_text("doneUpload")
    expect(live.page.locator(".live-upload")).to_have_count(0)
    steps = [step for step in live.page.evaluate("seen") if step != "connected"]
    sent = [sent for sent, total in steps if total > 1]
    assert (steps[0], steps[-1], sent) == ([0, 1], [1, 0], sorted(sent))
    assert len(event.body) > 200_000 and len(sent) > 1


def test_an_upload_takes_the_authors_bar_and_button(live: LivePage, files: list[Path]) -> None:
    own = '<progress id="bar" data-live-upload></progress><button type="button" data-live-cancel-upload>Stop</button>'
    begin(live, form(FIELD + own), files[2])
    expect(live.page.locator("#bar")).to_be_visible()
    expect(live.page.locator("progress")).to_have_count(1)
    expect(live.page.get_by_role("button", name="Cancel")).to_have_count(0)
    live.page.click("text=Stop")
    expect(live.page.locator("#bar")).to_be_hidden()
    expect(live.page.locator("body.live-loading")).to_have_count(0)
    assert (live.server.count("event"), live.page.locator(".live-toast").count()) == (0, 0)


def test_the_bar_comes_back_when_a_push_takes_it_away(live: LivePage, files: list[Path]) -> None:
    begin(live, form(FIELD + "<b>1</b>"), files[0])
    event = live.event()
    live.push(swap(form(FIELD + "<b>2</b>"), rev=2), "e.2")
    expect(live.page.locator("b")).to_have_text("2")
    expect(live.page.locator(".live-upload progress")).to_be_visible()
    event.answer(status=204)
    expect(live.page.locator(".live-upload")).to_have_count(0)


def test_an_upload_that_is_cut_off_says_so_and_tries_again_under_its_nonce(live: LivePage, files: list[Path]) -> None:
    begin(live, form(), files[1])
    event = live.event()
    event.cut()
    expect(live.page.locator(".live-toast p")).to_have_text("No answer came. Check your connection.")
    expect(live.page.locator(".live-upload")).to_have_count(0)
    live.page.click("text=Try again")
    again = live.event()
    assert (again.headers["x-live-nonce"], again.body.count(b"x" * 50_000)) == (event.headers["x-live-nonce"], 1)
    again.answer(swap(form("done"), rev=2))
    expect(live.page.locator("form")).to_have_text("doneUpload")


def test_a_login_page_in_the_place_of_an_answer_is_not_swapped(live: LivePage, files: list[Path]) -> None:
    live.server.pages["/login/"] = "<p>Log in</p>"
    begin(live, form(), files[0])
    live.event().answer(status=302, Location="/login/")
    expect(live.page.locator(".live-toast p")).to_have_text("You are signed out, or not allowed to do this.")
    expect(live.page.locator("form")).to_have_count(1)


def test_cancelling_an_upload_leaves_nothing_behind(visit: Open, site: Site, files: list[Path]) -> None:
    page = visit("/inbox/")
    slow(page, 20_000)
    page.set_input_files("[name=files]", files[1])
    page.click("text=Upload")
    page.click("text=Cancel")
    expect(page.locator(".live-upload")).to_have_count(0)
    expect(page.get_by_role("button", name="Upload")).to_be_enabled()
    assert page.eval_on_selector("[name=files]", "(field) => field.files.length") == 1
    assert (page.locator("li").count(), page.locator(".live-toast").count(), site.left()) == (0, 0, [])
    slow(page, -1)
    page.set_input_files("[name=files]", files[0])
    page.click("text=Upload")
    expect(page.locator("li")).to_have_text("small.txt: xxxxx")
