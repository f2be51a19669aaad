"""Regions in Chromium, from a real uvicorn."""

import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server import Server

pytestmark = pytest.mark.browser
LIST, KEPT = "#live-region-list", "#live-region-kept"
SITE = {"DJANGO_SETTINGS_MODULE": "tests.browser.regions_settings"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("regions") / "log"
    with Server("tests.browser.regions_asgi:application", log=log, env=SITE) as running:
        yield running


@pytest.fixture(params=["/", "/?plain"], ids=["htmx", "no htmx"])
def shown(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    yield from _shown(browser, server.url + request.param)


@pytest.fixture
def with_htmx(browser: Browser, server: Server) -> Iterator[Page]:
    yield from _shown(browser, server.url)


def _shown(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
    page.goto(url)
    connected(page)
    yield page
    context.close()
    assert errors == []


def connected(page: Page, times: int = 1) -> None:
    page.wait_for_function("(times) => ups >= times", arg=times)


def ask(server: Server, path: str, **values: str) -> None:
    urllib.request.urlopen(f"{server.url}{path}?{urlencode(values)}", timeout=10).close()


def texts(page: Page) -> list[str]:
    return page.locator(f"{LIST} > *").all_inner_texts()


def test_each_word_does_what_it_says(shown: Page, server: Server) -> None:
    ask(server, "/send/", append="<i>last</i>", prepend="<i>zeroth</i>")
    expect(shown.locator(f"{LIST} > *")).to_have_text(["zeroth", "first", "last"])
    ask(server, "/send/", before="<b id=before>before</b>", after="<b id=after>after</b>")
    expect(shown.locator(f"#before + {LIST} + #after")).to_have_count(1)
    ask(server, "/send/", update="<i>new</i>")
    expect(shown.locator(f"{LIST} > *")).to_have_text(["new"])
    ask(server, "/send/", replace='<p id="live-region-list">whole</p>')
    expect(shown.locator(f"p{LIST}")).to_have_text("whole")
    ask(server, "/send/", remove="")
    expect(shown.locator(LIST)).to_have_count(0)


def test_what_is_typed_in_a_region_stays_when_it_is_updated(with_htmx: Page, server: Server) -> None:
    ask(server, "/send/", update='<input id="note"> <b>1</b>')
    with_htmx.fill("#note", "typed")
    ask(server, "/send/", update='<input id="note"> <b>2</b>')
    expect(with_htmx.locator(f"{LIST} b")).to_have_text("2")
    assert with_htmx.input_value("#note") == "typed"


def test_what_was_added_while_the_stream_was_away_arrives_once(shown: Page, server: Server) -> None:
    ask(server, "/send/", append="<i>a</i>")
    expect(shown.locator(f"{LIST} > *")).to_have_text(["first", "a"])
    shown.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    for word in "bc":
        ask(server, "/send/", append=f"<i>{word}</i>")
    shown.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    connected(shown, 2)
    ask(server, "/send/", append="<i>d</i>")
    expect(shown.locator(f"{LIST} > *")).to_have_text(["first", "a", "b", "c", "d"])


def test_after_a_restart_a_region_fetches_itself_and_goes_on_hearing(with_htmx: Page, server: Server) -> None:
    ask(server, "/send/", name="kept", update="before")
    expect(with_htmx.locator(KEPT)).to_have_text("before")
    server.kill()
    with with_htmx.expect_response("**/elsewhere/"):
        server.start()
    expect(with_htmx.locator(KEPT)).to_have_text("as rendered")
    expect(with_htmx.locator("#live-region-signed-out")).to_have_text("kept")
    assert with_htmx.title() == ""
    ask(server, "/send/", append="<i>after</i>")
    expect(with_htmx.locator(f"{LIST} > *")).to_have_text(["first", "after"])


def test_a_page_that_missed_more_than_is_kept_converges_by_its_refresh(with_htmx: Page, server: Server) -> None:
    with_htmx.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    ask(server, "/change/", kept="changed meanwhile")
    for number in range(501):
        ask(server, "/send/", append=str(number))
    with_htmx.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(with_htmx.locator(KEPT)).to_have_text("changed meanwhile")
    assert texts(with_htmx) == ["first"]


@pytest.fixture(params=["htmx=4", "htmx=2"])
def bringing(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """A page that has pressed the button which brings a region and the place for toasts."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
    page.goto(f"{server.url}/bringing/?{request.param}")
    page.get_by_role("button", name="Bring").click()
    connected(page)
    yield page
    context.close()


def test_a_region_that_an_answer_brings_is_live(bringing: Page, server: Server) -> None:
    region = bringing.locator("#live-region-brought")
    ask(server, "/send/", name="brought", append="<i>second</i>")
    expect(region.locator("i")).to_have_text(["first", "second"])
    ask(server, "/send/", name="brought", update='<button hx-get="/part/" hx-target="this">Load</button>')
    region.get_by_role("button").click()
    expect(region).to_have_text("loaded")


def test_a_region_that_an_answer_brings_refreshes_itself(bringing: Page, server: Server) -> None:
    ask(server, "/send/", name="brought", update="changed")
    expect(bringing.locator("#live-region-brought")).to_have_text("changed")
    server.kill()
    server.start()
    expect(bringing.locator("#live-region-brought")).to_have_text("first")
    expect(bringing.locator("#live-region-brought")).to_have_count(1)


def test_toasts_that_an_answer_brings_are_live(bringing: Page) -> None:
    bringing.evaluate("fetch('/tell/?message=Hello')")
    expect(bringing.locator("#here .live-toast")).to_contain_text("Hello")
