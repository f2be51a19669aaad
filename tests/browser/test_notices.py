"""Notices in Chromium: when they count as seen, and that they go from every tab."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import LivePage
from tests.server import Server

pytestmark = pytest.mark.browser
HIDE = "Object.defineProperty(document, 'hidden', {get: () => %s, configurable: true})"
BODY = (
    '<script type="module" src="/notices.js"></script><div class="live-toasts" data-live-toasts>'
    '<div class="live-toast" id="live-notice-n1" data-key="k" role="{}"><p><a href="#there">Done</a></p>'
    '<button data-live-action="close">x</button></div></div>'
)


def seen(live: LivePage) -> list[str]:
    """The ids that the page has named to the server, in order."""
    server = live.server
    return [server.next("other").form["id"][0] for _ in range(server.count("other"))]


def test_a_toast_is_seen_after_six_seconds_in_a_tab_that_is_looked_at(live: LivePage) -> None:
    live.open(BODY.format("status"), frozen=True)
    live.page.evaluate(HIDE % "true")
    live.page.clock.run_for(60_000)
    live.page.evaluate(HIDE % "false")
    live.page.clock.run_for(4_000)
    assert (seen(live), live.page.locator(".live-toast").count()) == ([], 1)
    live.page.clock.run_for(3_000)
    exchange = live.server.next("other")
    assert (exchange.path, exchange.form) == ("/live/notices/", {"id": ["n1"]})
    assert (exchange.headers["x-live-page"], exchange.headers["x-csrftoken"]) == ("page-grant", "csrf-token")
    expect(live.page.locator(".live-toast")).to_have_count(0)


def test_a_toast_under_the_pointer_stays(live: LivePage) -> None:
    live.open(BODY.format("status"), frozen=True)
    live.page.hover(".live-toast p")
    live.page.clock.run_for(60_000)
    assert (seen(live), live.page.locator(".live-toast").count()) == ([], 1)


def test_an_alert_stays_until_it_is_closed(live: LivePage) -> None:
    live.open(BODY.format("alert"), frozen=True)
    live.page.clock.run_for(60_000)
    assert seen(live) == []
    live.page.click("[data-live-action=close]")
    assert live.server.next("other").form == {"id": ["n1"]}


def test_following_the_link_of_a_toast_is_seeing_it(live: LivePage) -> None:
    live.open(BODY.format("alert"))
    live.page.click("text=Done")
    assert live.server.next("other").form == {"id": ["n1"]}


def test_a_notice_that_comes_again_is_not_seen_for_that(live: LivePage) -> None:
    live.open(BODY.format("alert"))
    live.push('{"message": "Done", "level": "error", "key": "k", "id": "live-notice-n1"}', "e.2", "notice")
    live.push('{"message": "Other", "level": "error", "key": "l", "id": "live-notice-n2"}', "e.3", "notice")
    live.page.click("#live-notice-n2 [data-live-action=close]")
    assert live.server.next("other").form == {"id": ["n2"]}
    expect(live.page.locator("#live-notice-n1")).to_have_count(1)


def test_a_notice_that_was_seen_elsewhere_goes(live: LivePage) -> None:
    live.open(BODY.format("alert"))
    live.push('{"message": "", "key": "live-notice-n1"}', "e.2", "notice")
    expect(live.page.locator(".live-toast")).to_have_count(0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"DJANGO_SETTINGS_MODULE": "tests.browser.regions_settings"}
    log = tmp_path_factory.mktemp("notices") / "log"
    with Server("tests.browser.regions_asgi:application", log=log, env=env) as running:
        yield running


@pytest.fixture
def visitor(browser: Browser, site: Server) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


def tab(visitor: BrowserContext, site: Server) -> Page:
    page = visitor.new_page()
    page.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
    page.goto(site.url + "/toasts/")
    return page


def test_a_notice_comes_to_all_tabs_and_goes_from_all_when_one_has_closed_it(
    visitor: BrowserContext, site: Server
) -> None:
    visitor.request.get(f"{site.url}/tell/?message=first&level=error")
    tabs = [tab(visitor, site), tab(visitor, site)]
    for page in tabs:
        expect(page.locator(".live-toast a")).to_have_text("first")
        page.wait_for_function("ups > 0")
    visitor.request.get(f"{site.url}/tell/?message=second&level=error")
    for page in tabs:
        expect(page.locator(".live-toast a")).to_have_text("second")
    tabs[0].click("[data-live-action=close]")
    for page in tabs:
        expect(page.locator(".live-toast")).to_have_count(0)
    tabs[0].reload()
    tabs[0].wait_for_function("ups > 0")
    assert tabs[0].locator(".live-toast").count() == 0
