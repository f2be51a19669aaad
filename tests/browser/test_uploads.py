"""Files, sent by somebody at Chromium to a real uvicorn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

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
        "DJANGO_SETTINGS_MODULE": "tests.uploads.settings",
        "UPLOADS_MEDIA": str(media),
        "UPLOADS_TEMPORARY": str(temporary),
    }
    log = tmp_path_factory.mktemp("uploads") / "server.log"
    with Server("tests.uploads.asgi:application", log=log, env=env) as up:
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
