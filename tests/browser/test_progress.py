"""Progress in Chromium, from a real uvicorn, under a strict content security policy."""

import json
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server import Server

pytestmark = pytest.mark.browser
HTMX = pytest.mark.parametrize("htmx", ["htmx=4", "htmx=2"])
SITE = {"DJANGO_SETTINGS_MODULE": "tests.progress.site_settings"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("progress") / "log"
    with Server("tests.browser.regions_asgi:application", log=log, env=SITE) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    page.add_init_script(
        "window.ups = 0; addEventListener('live:connected', () => ups++);"
        "window.over = []; addEventListener('over', (event) => over.push(event.detail.status))"
    )
    yield page
    context.close()
    assert errors == []


def ask(server: Server, path: str, **values: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}{path}?{urlencode(values)}", timeout=10) as answer:
        body: bytes = answer.read()
    return body


def create(server: Server, **tasks: str) -> str:
    return str(json.loads(ask(server, "/create/", **tasks))["id"])


def open_page(page: Page, server: Server, name: str, session: str = "", more: str = "") -> None:
    page.goto(f"{server.url}/page/{name}/?session={session}{more}")
    page.wait_for_function("() => ups > 0")


@pytest.mark.parametrize("more", ["", "&plain"], ids=["htmx", "no htmx"])
def test_a_card_follows_the_work_to_its_end(page: Page, server: Server, more: str) -> None:
    session = create(server, a="Import products")
    open_page(page, server, "card", session, more)
    bar, text = page.get_by_role("progressbar", name="Import products"), page.locator(".live-progress-text")
    expect(bar).to_have_attribute("aria-valuenow", "0")
    ask(server, f"/work/{session}/update/a/", current="42", total="100", message="Reading <b>")
    expect(bar).to_have_attribute("aria-valuenow", "42")
    expect(text).to_contain_text("Reading <b>")
    page.reload()
    expect(bar).to_have_attribute("aria-valuenow", "42")
    page.wait_for_function("() => ups > 0")
    ask(server, f"/work/{session}/complete/a/")
    expect(page.locator("[data-live-done=complete]")).to_have_count(1)
    page.wait_for_function("() => over.length > 0")
    assert page.evaluate("over") == ["complete"]
    page.reload()
    page.wait_for_function("() => ups > 0")
    assert page.evaluate("over") == []


def test_a_simulated_bar_moves_by_itself_and_its_text_too(page: Page, server: Server) -> None:
    session = create(server, a="Import products")
    open_page(page, server, "card", session)
    ask(server, f"/work/{session}/start/a/")
    widths = []
    for percent in (5, 9):
        page.wait_for_function(
            "(least) => parseInt(document.querySelector('.live-progress-percent').innerText) >= least", arg=percent
        )
        widths.append(page.locator(".live-progress-done").bounding_box()["width"])  # type: ignore[index]
    assert widths[0] < widths[1]


def test_a_card_says_that_it_is_completing_while_its_bar_moves_to_the_end(page: Page, server: Server) -> None:
    session = create(server, a="Import products")
    open_page(page, server, "card", session)
    ask(server, f"/work/{session}/update/a/", current="2", total="100", message="Reading")
    message = page.locator(".live-progress-message")
    expect(message).to_have_text("Reading")
    page.evaluate(
        """const sheet = new CSSStyleSheet();
        sheet.replaceSync("*, *::before { transition-delay: 600s !important; }");
        document.adoptedStyleSheets = [sheet];"""
    )
    ask(server, f"/work/{session}/complete/a/", message="Imported 12")
    expect(message).to_have_text("Imported 12")
    before = "(elt) => [getComputedStyle(elt, '::before').content, getComputedStyle(elt, '::before').visibility]"
    assert message.evaluate(before) == ['"Completing…"', "visible"]
    expect(message.locator(".live-progress-final")).to_be_hidden()
    page.evaluate("document.adoptedStyleSheets = []")
    page.reload()
    expect(message.locator(".live-progress-final")).to_be_visible()
    assert message.evaluate(before) == ['"Completing…"', "hidden"]


def test_the_end_leads_on(page: Page, server: Server) -> None:
    session = create(server, a="Import products")
    open_page(page, server, "leaving", session)
    ask(server, f"/work/{session}/complete/a/")
    expect(page).to_have_url(server.url + "/page/list/?arrived")


def test_the_button_cancels_and_retries(page: Page, server: Server) -> None:
    session = create(server, a="Import products")
    open_page(page, server, "card", session)
    ask(server, f"/work/{session}/start/a/")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-live-done=cancelled]")).to_have_count(1)
    expect(page.get_by_role("button")).to_have_count(0)
    other = create(server, a="Report")
    open_page(page, server, "card", other)
    ask(server, f"/run/{other}/a/")
    ask(server, "/release/")
    expect(page.locator(".live-progress-message")).to_have_text("Report failed")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(1)
    ask(server, "/release/")
    page.wait_for_function("() => over.length == 2")
    assert page.evaluate("over") == ["error", "error"]


@HTMX
def test_work_that_is_accepted_can_be_cancelled(page: Page, server: Server, htmx: str) -> None:
    page.goto(f"{server.url}/page/start/?{htmx}")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("progressbar")).to_have_count(1)
    page.wait_for_function("() => ups > 0")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-live-done=cancelled]")).to_have_count(1)


@HTMX
@pytest.mark.parametrize("more", ["", "&live"], ids=["first", "more"])
def test_work_that_is_accepted_reaches_its_end(page: Page, server: Server, htmx: str, more: str) -> None:
    page.goto(f"{server.url}/page/start/?{htmx}{more}")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#here [role=progressbar]")).to_have_count(1)
    page.wait_for_function("() => ups > 0")
    session = page.locator("#here [data-live-progress]").get_attribute("data-live-progress")
    ask(server, f"/work/{session}/update/a/", current="42", total="100")
    expect(page.locator("#here [role=progressbar]")).to_have_attribute("aria-valuenow", "42")
    ask(server, f"/work/{session}/complete/a/")
    expect(page.locator("#here [role=progressbar]")).to_have_attribute("aria-valuenow", "100")
    page.wait_for_function("() => over.length > 0")
    assert page.evaluate("over") == ["complete"]


@HTMX
def test_work_that_ends_before_its_card_arrives_is_seen_to_end(page: Page, server: Server, htmx: str) -> None:
    page.goto(f"{server.url}/page/start/?{htmx}&live&late")
    page.wait_for_function("() => ups > 0")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("progressbar", name="Report")).to_have_attribute("aria-valuenow", "100")  # in the list
    ask(server, "/release/")
    expect(page.locator("#here [role=progressbar]")).to_have_attribute("aria-valuenow", "100")


def test_without_htmx_work_that_is_accepted_reaches_its_end_on_its_page(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/page/start/?plain")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/live/progress/**")
    page.wait_for_function("() => ups > 0")
    session = page.locator("[data-live-progress]").get_attribute("data-live-progress")
    ask(server, f"/work/{session}/complete/a/")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")


def test_a_card_that_a_script_puts_into_a_live_page_is_followed(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/page/start/?plain&live")
    page.wait_for_function("() => ups > 0")
    page.evaluate(
        """async () => {
          const body = new FormData(document.querySelector("form")), headers = { "HX-Request": "true" };
          const answer = await fetch("/accept/", { method: "POST", body, headers });
          document.querySelector("#here").innerHTML = await answer.text();
        }"""
    )
    card = page.locator("#here [data-live-progress]")
    expect(card.get_by_role("progressbar")).to_have_count(1)
    ask(server, f"/work/{card.get_attribute('data-live-progress')}/complete/a/")
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")


def test_the_list_shows_what_starts_later(page: Page, server: Server) -> None:
    open_page(page, server, "list")
    page.evaluate("fetch('/create/?a=Later&mine').then((r) => r.json()).then((s) => fetch(`/work/${s.id}/start/a/`))")
    expect(page.get_by_role("progressbar", name="Later")).to_have_count(1)


def test_without_javascript_a_page_refreshes_itself(browser: Browser, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    session = create(server, a="Import products")
    page.goto(f"{server.url}/page/card/?session={session}")
    page.get_by_role("link", name="Show the progress").click()
    ask(server, f"/work/{session}/error/a/", message="No disk")
    expect(page.get_by_text("No disk")).to_be_visible(timeout=15_000)
    assert re.search("http-equiv", page.content()) is None
    context.close()


def test_motion_is_left_out_for_who_wants_none(browser: Browser, server: Server) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    session = create(server, a="Import products")
    ask(server, f"/work/{session}/update/a/", current="3")
    page.goto(f"{server.url}/page/card/?session={session}")
    done = page.locator(".live-progress-indeterminate .live-progress-done")
    assert done.evaluate(
        "(elt) => [getComputedStyle(elt).animationName, getComputedStyle(elt).transitionDuration]"
    ) == ["none", "0s"]
    context.close()
