"""What a person sees in Chromium when processes restart that keep live views in memory, or when there are several."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import connected, visiting
from tests.faults.memory_site import Site

pytestmark = [pytest.mark.browser, pytest.mark.faults]

UNSHARED = "The server cannot find this page."


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as one:
        yield one


def open_page(browser: Browser, site: Site, *, is_connected: bool = True) -> Page:
    """A page in a browser of its own; ``toasts`` lists the texts of all toasts that it has ever shown."""
    page = browser.new_context().new_page()
    page.set_default_timeout(30_000)
    page.add_init_script(
        """window.ups = 0; window.toasts = []; addEventListener('live:connected', () => ups++);
        new MutationObserver((all) => all.forEach(({addedNodes}) => addedNodes.forEach((node) =>
          node.classList?.contains('live-toast') && toasts.push(node.querySelector('p').textContent.trim()))))
        .observe(document, {childList: true, subtree: true})"""
    )
    page.goto(f"{site.url}/Search/")
    if is_connected:
        connected(page)
    return page


def restart(page: Page, site: Site) -> None:
    """Kill the server and start it again; returns when the page has seen both."""
    page.evaluate("ups = 0")
    site.kill()
    expect(page.locator("body")).to_have_class(re.compile("live-offline"))
    site.start()
    connected(page)
    expect(page.locator("body")).not_to_have_class(re.compile("live-offline"))


def count(page: Page, clicks: int) -> None:
    page.get_by_role("button", name="Count").click()
    expect(page.locator("#shown")).to_contain_text(f"{clicks} clicks")


def test_after_each_of_two_restarts_the_page_works_keeps_what_was_typed_and_says_one_thing(
    browser: Browser, site: Site
) -> None:
    with visiting(browser):
        page = open_page(browser, site)
        page.get_by_label("Typed").fill("half a sentence")
        for restarts in (1, 2):
            count(page, 1)
            restart(page, site)
            expect(page.locator("#shown")).to_contain_text("0 clicks")
            assert page.evaluate("toasts") == ["The server has reset this page."] * restarts
        count(page, 1)
        assert page.get_by_label("Typed").input_value() == "half a sentence"


def test_a_restart_that_costs_nothing_is_not_mentioned(browser: Browser, site: Site) -> None:
    with visiting(browser):
        page = open_page(browser, site)
        restart(page, site)
        count(page, 1)
        assert page.evaluate("toasts") == []


def test_a_click_that_the_restart_swallowed_is_asked_for_again_in_one_message(browser: Browser, site: Site) -> None:
    with visiting(browser):
        page = open_page(browser, site)
        count(page, 1)
        page.evaluate("ups = 0")
        site.kill()
        page.get_by_role("button", name="Count").click()
        expect(page.locator(".live-toast")).to_contain_text("No answer came.")
        site.start()
        connected(page)
        expect(page.locator(".live-toast p")).to_have_text(
            "The server has reset this page. Please repeat your last action."
        )
        expect(page.locator("body")).not_to_have_class(re.compile("live-offline"))
        count(page, 1)


def test_a_search_that_the_restart_swallowed_is_made_again_without_a_word(browser: Browser, site: Site) -> None:
    with visiting(browser):
        page = open_page(browser, site)
        page.evaluate("ups = 0")
        site.kill()
        page.get_by_label("Search").press_sequentially("lopez")
        expect(page.locator("body")).to_have_class(re.compile("live-offline"))
        site.start()
        expect(page.locator("#shown")).to_contain_text("[lopez,")
        expect(page.locator("body")).not_to_have_class(re.compile("live-offline"))
        assert page.evaluate("toasts") == []


def test_a_developers_restarts_are_not_mentioned(browser: Browser, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.env["FAULTS_DEBUG"] = "1"
    with site, visiting(browser):
        page = open_page(browser, site)
        count(page, 1)
        restart(page, site)
        count(page, 1)
        assert page.evaluate("toasts") == []


def test_with_several_workers_and_no_shared_store_every_page_works_or_says_that_it_cannot(
    browser: Browser, tmp_path: Path
) -> None:
    with Site(tmp_path, workers=3) as site, visiting(browser):
        pages = []
        while not any(page.evaluate("toasts.length") for page in pages):
            assert len(pages) < 12, "no page has ever reached another worker"
            pages.append(open_page(browser, site, is_connected=False))
            pages[-1].get_by_role("button", name="Start").click()
            said_or_done = pages[-1].locator(f".live-toast:has-text('{UNSHARED}'), #shown:has-text('1 done')")
            expect(said_or_done.first).to_be_visible()
        for page in pages:
            expect(page.locator("#busy")).to_be_hidden()
            assert set(page.evaluate("toasts")) <= {f"{UNSHARED} Reload it, or try again later."}
    assert "set HTMX_LIVE['REDIS_URL']" in site.log.read_text()
    assert 1 <= site.log.read_text().count("ERROR") + site.log.read_text().count("asked this one") <= 3
