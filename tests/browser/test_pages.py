"""A page's life: reload, back, hiding, pages without htmx, and plain htmx beside live views."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import document, on, partial, root, swap
from tests.browser.scripted_server import Exchange, ScriptedServer

pytestmark = pytest.mark.browser


def hide(page: Page, hidden: bool) -> None:
    """What a browser says when its user goes to another tab, and comes back."""
    page.evaluate(
        "(hidden) => {Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});"
        "document.dispatchEvent(new Event('visibilitychange'))}",
        hidden,
    )


def test_a_reload_offers_the_grants_of_the_page_before(live: LivePage) -> None:
    live.open(root("old") + root("", id="live-b"))
    live.server.pages["/"] = document(root("new", id="live-n"), htmx=live.htmx)
    adopted = partial(root("old", rev=4), "live-n", how="outerHTML")
    live.server.on["sync"] = lambda exchange: exchange.answer(adopted)
    live.page.reload()
    asked = live.server.next("sync").json
    assert (asked["adopt"], asked["roots"]) == (["grant-live-a", "grant-live-b"], [{"live": "grant-live-n", "rev": 1}])
    expect(live.page.locator("#live-a")).to_have_text("old")
    assert live.page.locator("#live-n").count() == 0


def test_a_visit_by_a_link_offers_nothing(live: LivePage) -> None:
    live.open(root("old") + '<a href="/">again</a>')
    live.page.click("a")
    live.server.next("stream")
    assert live.server.count("sync") == 0


def test_the_way_back_offers_the_grants_of_that_page(live: LivePage) -> None:
    live.open(root("old") + '<a href="/two/">two</a>')
    live.server.pages["/two/"] = document(root("two", id="live-t"), htmx=None)
    live.page.click("a")
    live.server.next("stream")
    live.page.go_back(wait_until="commit")
    assert live.server.next("sync").json["adopt"] == ["grant-live-a"]


@BOTH
def test_a_click_on_a_root_that_was_adopted_meanwhile_reaches_the_adopted_one(live: LivePage) -> None:
    button = f'<button id="b" {on("add")}>+</button>'
    live.open(root(button))
    live.page.click("#b")
    first = live.event()
    live.page.click("#b")
    live.push(partial(root(button, id="live-z"), "live-a", how="outerHTML"), "e.2")
    first.answer(status=204)
    assert live.event().headers["x-live"] == "grant-live-z"


@BOTH
def test_a_click_before_the_adoption_waits_for_it(live: LivePage) -> None:
    button = f'<button id="b" {on("add")}>+</button>'
    live.open(root(button))
    live.server.pages["/"] = document(root(button, id="live-n"), htmx=live.htmx)
    live.server.on["sync"] = lambda exchange: None
    live.page.reload()
    sync = live.server.next("sync")
    live.page.click("#b")
    live.page.wait_for_selector("body.live-loading")
    assert live.server.count("event") == 0
    sync.answer(partial(root(button, rev=4), "live-n", how="outerHTML"))
    event = live.event()
    assert (event.headers["x-live"], event.headers["x-live-rev"]) == ("grant-live-a", "4")


def test_a_hidden_tab_closes_its_stream_and_catches_up_when_shown(live: LivePage) -> None:
    live.open(root("1"), hidden_close=0.1)
    live.push("", "e.5")
    hide(live.page, True)
    assert live.server.next("sync").json["hidden"] is True
    assert live.stream.closed.wait(5)
    assert (live.server.count("stream"), live.page.locator(".live-offline").count()) == (0, 0)
    hide(live.page, False)
    assert live.server.next("stream").headers["last-event-id"] == "e.5"


def test_a_tab_that_is_hidden_for_a_moment_keeps_its_stream(live: LivePage) -> None:
    live.open(root("1"), frozen=True, hidden_close=10)
    hide(live.page, True)
    live.page.clock.run_for(8000)
    hide(live.page, False)
    live.page.clock.run_for(8000)
    assert (live.stream.closed.is_set(), live.server.count("stream")) == (False, 0)


def test_a_stream_that_is_lost_in_a_hidden_tab_shows_no_banner(live: LivePage) -> None:
    live.open(root("1"))
    hide(live.page, True)
    live.stream.cut()
    live.server.next("stream")
    live.until("seen.length > 1")
    assert live.page.locator(".live-banner").count() == 0


def test_a_page_from_the_back_forward_cache_opens_its_stream_again(live: LivePage) -> None:
    live.open(root("1"))
    live.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    assert live.stream.closed.wait(5)
    live.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    live.server.next("stream")


def test_the_network_coming_back_opens_the_stream_at_once(live: LivePage) -> None:
    live.open(root("1"))
    live.server.on["stream"] = Exchange.cut
    live.stream.cut()
    for _ in range(4):
        live.server.next("stream")
    live.server.on["stream"] = lambda exchange: exchange.start_stream()
    live.page.evaluate("dispatchEvent(new Event('online'))")
    live.until("seen.length > 1")
    assert live.server.count("stream") == 1


def test_a_page_without_anything_live_asks_for_nothing(page: Page, server: ScriptedServer, htmx: str) -> None:
    server.pages["/"] = document("<p>static</p>", htmx=htmx, page=None, number=None, csrf=None)
    page.goto(server.url)
    page.wait_for_selector("html.live-ready")
    assert (server.count("stream"), server.count("sync")) == (0, 0)


@BOTH
def test_htmx_may_bring_the_first_live_view_into_a_page(page: Page, server: ScriptedServer, htmx: str) -> None:
    server.pages["/"] = document('<a hx-get="/part/" hx-target="#main">go</a><main id="main"></main>', htmx=htmx,
                                 page=None, number=None, csrf=None)  # fmt: skip
    button = f'<button id="b" {on("add")}>+</button>'
    server.on["other"] = lambda exchange: exchange.answer(
        root(button), X_Live_Page="brought", X_Live_Number="e.8", X_Live_CSRF="fresh"
    )
    page.goto(server.url)
    page.click("a")
    stream = server.next("stream")
    assert (stream.headers["x-live-page"], stream.headers["last-event-id"]) == ("brought", "e.8")
    page.click("#b")
    event = server.next("event")
    assert (event.headers["x-live-page"], event.headers["x-csrftoken"]) == ("brought", "fresh")


@BOTH
def test_plain_htmx_inside_a_view_does_what_plain_htmx_does(live: LivePage) -> None:
    live.open(root('<a id="l" hx-get="/part/" hx-target="#main">go</a><main id="main"></main>'))
    live.server.on["other"] = lambda exchange: exchange.answer("<b>part</b>", status=500)
    live.page.click("#l")
    expect(live.page.locator("#main b")).to_have_text("part")  # htmx 4 swaps a 500
    asked = live.server.next("other")
    assert asked.headers["x-live-page"] == "page-grant"
    assert {"x-live", "x-live-nonce"}.isdisjoint(asked.headers)
    assert live.page.locator(".live-toast").count() == 0


def test_elements_without_our_attributes_are_untouched(live: LivePage) -> None:
    body = '<section id="s"><button class="a">x</button><details open><summary>s</summary></details></section>'
    live.open(body + root("1"))
    live.push(swap("2", rev=2), "e.2")
    assert live.page.evaluate("s.outerHTML") == body.replace("open", 'open=""')


def test_without_htmx_partials_replace_what_they_name(page: Page, server: ScriptedServer) -> None:
    server.pages["/"] = document(
        '<div id="p"><progress value="1"></progress></div><ul id="l"></ul><i id="gone"></i>', htmx=None
    )
    page.goto(server.url)
    stream = server.next("stream")
    text = (
        partial('<div id="p"><progress value="2"></progress></div>', "p")
        + partial("<li>1</li>", "l", how="beforeend")
        + partial("", "gone", how="delete")
    )
    stream.send(f"data: {text}\n\n")
    page.wait_for_selector("#p progress[value='2']")
    assert page.evaluate("[l.children.length, document.getElementById('gone')]") == [1, None]


@BOTH
def test_a_script_that_runs_before_htmx_registers_later(page: Page, server: ScriptedServer, htmx: str) -> None:
    html = document(root(f'<button id="b" {on("add")}>0</button>'), htmx=htmx)
    tag = f'<script defer src="{htmx}"></script>'
    server.pages["/"] = html.replace(tag, "").replace("<link", tag + "<link")
    page.goto(server.url)
    page.click("#b")
    event = server.next("event")
    assert event.headers["x-live"] == "grant-live-a"
    event.answer(swap('<button id="b">1</button>', rev=2))
    expect(page.locator("#b")).to_have_text("1")


def test_before_the_script_has_started_the_style_sheet_goes_by_htmx(page: Page, server: ScriptedServer) -> None:
    spinner = '<i id="{0}" class="{1}" data-live-show{2}>…</i>'
    body = spinner.format("off", "", "") + spinner.format("on", "htmx-request", "")
    body += (
        spinner.format("slow", "htmx-request", ' data-live-delay="200"')
        + '<p data-live-show="flex" class="htmx-request">…</p>'
    )
    server.pages["/"] = document(body).replace('<script defer src="/htmx-live.js"></script>', "")
    page.goto(server.url)
    shown = page.locator("[data-live-show]").evaluate_all("all => all.map((one) => getComputedStyle(one).display)")
    assert shown == ["none", "inline", "none", "flex"]


@BOTH
def test_a_boosted_body_keeps_working(live: LivePage) -> None:
    live.open(f'<div hx-boost:inherited="true"><a href="/two/">two</a></div>{root("one")}')
    second = document(root(f'<button id="b" {on("add")}>0</button>', id="live-t"), htmx=live.htmx)
    live.server.pages["/two/"] = second
    live.page.click("a")
    live.page.click("#b")
    event = live.event()
    assert event.headers["x-live"] == "grant-live-t"
    event.answer(swap('<button id="b">1</button>', rev=2, id="live-t"))
    expect(live.page.locator("#b")).to_have_text("1")
    live.push(json.dumps({"message": "Still here"}), "e.3", "notice")
    expect(live.page.locator(".live-toast p")).to_have_text("Still here")


def test_what_is_typed_before_the_adoption_stays(live: LivePage) -> None:
    form = '<input id="name" name="name" value="{name}"><input id="city" name="city" value="{city}">'
    live.open(root(form.format(name="", city="")))
    live.server.pages["/"] = document(root(form.format(name="", city=""), id="live-n"), htmx=live.htmx)
    live.server.on["sync"] = lambda exchange: None
    live.page.reload()
    sync = live.server.next("sync")
    live.page.locator("#name").press_sequentially("Ada")
    sync.answer(partial(root(form.format(name="", city="Turin"), rev=4), "live-n"))
    expect(live.page.locator("#live-a #city")).to_have_value("Turin")
    expect(live.page.locator("#name")).to_have_value("Ada")
    expect(live.page.locator("#name")).to_be_focused()


def test_a_root_that_plain_htmx_took_away_is_said_to_be_gone(live: LivePage) -> None:
    replace = '<button id="b" hx-get="/other/" hx-target="#place" hx-swap="innerHTML">Go</button>'
    live.open(f'{root("1")}<div id="place">{root("2", id="live-b")}</div>{replace}', frozen=True)
    live.server.on["other"] = lambda exchange: exchange.answer(root("3", id="live-c"))
    live.page.click("#b")
    expect(live.page.locator("#live-c")).to_have_text("3")
    live.push("", "e.2")  # the stream lives
    live.page.clock.run_for(32_000)
    assert [one["live"] for one in live.server.next("sync").json["roots"]] == ["grant-live-a", "grant-live-c"]


@BOTH
def test_a_page_that_keeps_its_roots_says_nothing(live: LivePage) -> None:
    live.open(root("1") + '<button id="b" hx-get="/other/" hx-swap="outerHTML">Go</button>', frozen=True)
    live.server.on["other"] = lambda exchange: exchange.answer(f'<div id="done">{root("3", id="live-c")}</div>')
    live.page.click("#b")
    expect(live.page.locator("#done")).to_have_text("3")
    live.push("", "e.2")  # the stream lives
    live.page.clock.run_for(32_000)
    assert [live.server.next("sync").json for _ in range(live.server.count("sync"))] == []
