"""What a person sees in Chromium when a part of a cluster fails: words, a banner, and what they typed still there."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from htmx_live.runtime.owners import COOKIE_PREFIX
from tests.browser.visitors import connected, visiting
from tests.faults.cluster import HEARTBEAT, Cluster, cluster
from tests.faults.followers import following
from tests.faults.proxy import FaultProxy
from tests.faults.viewers import ask
from tests.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.faults]

CONVERGED = 5.0  # seconds within which pages show what is, after a process has died
HOLE = 12.0  # seconds
NOT_AVAILABLE = "The service is not available at the moment."
AFRESH = "The server has reset this page."


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), worker=False, HIDDEN_DISCONNECT_AFTER=0.2) as one:
        yield one


@pytest.fixture
def desk(browser: Browser, running: Cluster) -> Iterator[Page]:
    with visiting(browser):
        yield open_desk(browser, running.port)


def open_desk(browser: Browser, port: int, path: str = "/Desk/") -> Page:
    """A desk in a browser of its own; what it hears of its connection and when is in ``heard``."""
    page = browser.new_context().new_page()
    page.set_default_timeout(15_000)
    page.add_init_script(
        "window.ups = 0; window.heard = {}; addEventListener('live:connected', () => ups++);"
        "addEventListener('live:disconnected', () => heard.lost ??= Date.now() / 1000)"
    )
    page.goto(f"http://127.0.0.1:{port}{path}")
    connected(page)
    page.evaluate(  # a busy machine takes longer than a toast lasts
        "document.getElementById('live-messages').content.querySelectorAll('[data-live-seconds]')"
        ".forEach((toast) => (toast.dataset.liveSeconds = 600))"
    )
    return page


def shown(page: Page) -> str:
    return page.locator("#shown").inner_text()


def click(page: Page) -> None:
    page.get_by_role("button", name="Count").click()


def push(running: Cluster, number: int) -> None:
    ask(running.port, f"/push/?number={number}")


def test_while_redis_is_away_a_click_is_refused_in_words_and_what_was_typed_stays(desk: Page, running: Cluster) -> None:
    click(desk)
    expect(desk.locator("#shown")).to_contain_text("1 clicks")
    desk.get_by_label("Typed").fill("half a sen")
    running.redis.kill()
    began = time.monotonic()
    click(desk)
    expect(desk.locator(".live-toast")).to_contain_text(NOT_AVAILABLE, timeout=10_000)
    print(f"\nit was said after {time.monotonic() - began:.2f} s")
    assert (shown(desk), desk.get_by_label("Typed").input_value()) == ("[1 clicks, 0 heard, ended .]", "half a sen")
    running.redis.start()  # empty
    expect(desk.locator("#shown")).to_contain_text("0 clicks")
    expect(desk.locator(".live-toasts")).to_contain_text(AFRESH)
    assert desk.get_by_label("Typed").input_value() == "half a sen"
    desk.locator(".live-toast", has_text=NOT_AVAILABLE).get_by_role("button", name=re.compile("again", re.I)).click()
    expect(desk.locator("#shown")).to_contain_text("1 clicks")


def test_when_redis_is_emptied_the_page_says_that_it_starts_afresh_and_keeps_what_was_typed(
    desk: Page, running: Cluster
) -> None:
    desk.get_by_label("Typed").fill("half a sen")
    for _ in range(2):
        click(desk)
        expect(desk.locator("#shown")).to_contain_text("1 clicks")
        desk.get_by_label("Typed").focus()
        with running.redis.client() as client:
            client.flushall()
        expect(desk.locator("#shown")).to_contain_text("0 clicks")
        expect(desk.locator(".live-toast")).to_have_text(re.compile(AFRESH))
    desk.keyboard.type("tence")
    click(desk)
    expect(desk.locator("#shown")).to_contain_text("1 clicks")
    assert desk.get_by_label("Typed").input_value() == "half a sentence"


def test_after_a_deployment_that_renamed_an_attribute_pages_work_and_keep_what_was_typed(
    browser: Browser, tmp_path: Path
) -> None:
    with cluster(tmp_path, webs=1, worker=False) as running, visiting(browser):
        [web] = running.webs
        deploy(web, "old")
        pages = [open_desk(browser, running.port, "/Renamed/") for _ in range(2)]
        for page in pages:
            click(page)
            expect(page.locator("#shown")).to_have_text("[n 1, amount ]")
            page.get_by_label("Typed").fill("half a sentence")
        others = re.compile("/live/(sync|stream)/")
        pages[0].route(others, lambda route: route.abort())  # the click is the first request to the new code
        deploy(web, "new")
        click(pages[0])
        expect(pages[0].locator("#shown")).to_have_text("[n , amount 0]")
        pages[0].unroute(others)
        push(running, 5)
        for page in pages:
            expect(page.locator("#shown")).to_have_text(re.compile(r"\[n , amount [05]\]"))  # it polls before or after
            expect(page.locator(".live-toast", has_text=AFRESH)).to_have_count(1)
            page.get_by_role("button", name=re.compile("close|dismiss", re.I)).first.click()
            click(page)
            expect(page.locator("#shown")).to_have_text(re.compile(r"\[n , amount [16]\]"))
            shown = page.locator("#shown").inner_text()
            expect(page.locator(".live-toast")).to_have_count(0)
            assert page.get_by_label("Typed").input_value() == "half a sentence"
            page.reload()
            expect(page.locator("#shown")).to_have_text(shown)


def test_the_first_pages_of_a_visitor_that_load_at_one_moment_are_all_live(browser: Browser, running: Cluster) -> None:
    with visiting(browser) as people:
        context, refused = browser.new_context(), []
        context.add_init_script("window.ups = 0; addEventListener('live:connected', () => ups++)")
        context.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        context.on("console", lambda message: message.type == "error" and people.complaints.append(message.text))
        context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        blank = context.new_page()
        blank.goto(f"http://127.0.0.1:{running.port}/")
        pages: list[Page] = []
        context.on("page", lambda page: pages.append(page))
        running.proxy.delay = 1.0  # all requests leave before the first answer comes
        blank.evaluate("() => { for (let n = 0; n < 4; n++) open('/Desk/') }")  # more streams would need HTTP/2
        while len(pages) < 4 or not all(page.locator("#shown").count() for page in pages):
            blank.wait_for_timeout(20)
        running.proxy.delay = 0.0
        owners = [one["name"] for one in context.cookies() if one["name"].startswith(COOKIE_PREFIX)]  # type: ignore
        for page in pages:
            page.wait_for_function("window.ups > 0", timeout=30_000)
            page.bring_to_front()
            click(page)
            expect(page.locator("#shown")).to_contain_text("1 clicks")
            expect(page.locator(".live-toast")).to_have_count(0)
            expect(page.locator("body.live-offline")).to_have_count(0)
        assert (len(owners), refused) == (4, [])


def deploy(web: Server, version: str) -> None:
    web.stop()
    web.env["FAULTS_VERSION"] = version
    web.start()


def test_when_a_web_process_is_killed_twenty_pages_show_what_the_server_would(desk: Page, running: Cluster) -> None:
    ready, killed = threading.Event(), threading.Event()

    async def others() -> None:
        async with following(running.port, ["/Desk/"] * 19) as pages:
            ready.set()
            await asyncio.to_thread(killed.wait)
            for page in pages:
                await page.until("77 heard", within=CONVERGED)
                assert await page.shows_what_the_server_would()

    desk.get_by_label("Typed").fill("half a sentence")
    with ThreadPoolExecutor() as pool:
        future = pool.submit(asyncio.run, others())
        try:
            assert ready.wait(60) or future.result()
            running.webs[0].kill()
            push(running, 77)
        finally:
            killed.set()
        expect(desk.locator("#shown")).to_contain_text("77 heard", timeout=CONVERGED * 1000)
        future.result()
    expect(desk.locator("body")).not_to_have_class(re.compile("live-offline"))
    assert desk.get_by_label("Typed").input_value() == "half a sentence"
    click(desk)
    expect(desk.locator("#shown")).to_have_text("[1 clicks, 77 heard, ended .]")
    running.webs[0].start()


def test_black_holes_buffers_and_idle_limits_are_seen_and_survived(browser: Browser, running: Cluster) -> None:
    """Proxies at once: one lets nothing pass for a while, one buffers, two cut what is idle for more and for less than
    a heartbeat."""
    ports = [web.port for web in running.webs]
    with visiting(browser), ExitStack() as stack:
        hole, buffering, cutting, idle = (stack.enter_context(FaultProxy(*ports)) for _ in range(4))
        cutting.idle_limit, idle.idle_limit = 3 * HEARTBEAT, 0.6 * HEARTBEAT
        lost, held, beating, cut = (open_desk(browser, one.port) for one in (hole, buffering, cutting, idle))
        hole.is_black_hole = True
        buffering.buffers = True
        buffering.cut()
        began = time.time()
        expect(lost.locator(".live-banner")).to_be_visible()
        after = lost.evaluate("heard.lost") - began
        print(f"\nthe banner came {after:.2f} s after the connection had become a black hole")
        assert after <= 2.5 * HEARTBEAT + 1  # the script looks at its stream once a second
        push(running, 5)
        for page in (held, beating, cut):  # one polls
            expect(page.locator("#shown")).to_contain_text("5 heard")
        click(held)
        expect(held.locator("#shown")).to_contain_text("1 clicks")
        assert held.evaluate("ups") == 1
        time.sleep(max(0.0, began + HOLE - time.time()))
        assert "0 heard" in shown(lost)
        hole.is_black_hole = False
        expect(lost.locator("#shown")).to_contain_text("5 heard")
        expect(lost.locator("body")).not_to_have_class(re.compile("live-offline"))
        click(lost)
        expect(lost.locator("#shown")).to_contain_text("1 clicks")
        assert cut.evaluate("ups") > 1
        assert beating.evaluate("ups") == 1  # heartbeats keep its connection
        buffering.buffers = False
        buffering.cut()
        expect(held.locator("body")).not_to_have_class(re.compile("live-offline"))
        push(running, 6)
        for page in (lost, held, beating, cut):
            expect(page.locator("#shown")).to_contain_text("6 heard")


def test_of_eight_tabs_the_last_loads_and_each_is_its_own(browser: Browser, running: Cluster) -> None:
    """A browser has six connections to a server: hidden tabs give theirs up after HIDDEN_DISCONNECT_AFTER."""
    with visiting(browser):
        tabs = [open_desk(browser, running.port)]
        context = tabs[0].context
        for _ in range(7):
            hide(tabs[-1], True)
            tabs.append(context.new_page())
            began = time.monotonic()
            tabs[-1].goto(tabs[0].url)
            expect(tabs[-1].locator("#shown")).to_contain_text("0 clicks")
            took = time.monotonic() - began
            click(tabs[-1])
            expect(tabs[-1].locator("#shown")).to_contain_text("1 clicks")
        print(f"\nthe eighth tab was there after {took:.2f} s")
        push(running, 9)
        expect(tabs[-1].locator("#shown")).to_contain_text("9 heard")
        hide(tabs[0], False)
        expect(tabs[0].locator("#shown")).to_have_text("[0 clicks, 9 heard, ended .]")


def hide(page: Page, hidden: bool) -> None:
    page.evaluate(
        "(hidden) => {Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});"
        "document.dispatchEvent(new Event('visibilitychange'))}",
        hidden,
    )
