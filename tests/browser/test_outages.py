"""An outage as the script sees it: what goes with the server's first answer, and what is sent again."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import on, root, swap

pytestmark = pytest.mark.browser

SAVE = f'<button id="b" {on("save")}>Save</button>'
FIND = f'<input id="q" name="q" {on("find", event="input")}>'
BUSY = '<i id="busy" data-live-show data-live-for="save">busy</i>'


def lose_stream(live: LivePage) -> None:
    """The stream is gone for good, and the user knows."""
    live.server.on["stream"] = lambda exchange: exchange.answer(status=502)
    live.server.on["sync"] = lambda exchange: exchange.answer(status=502)
    live.stream.cut()
    live.page.wait_for_selector("body.live-offline")


def test_the_banner_goes_when_an_event_is_answered_and_stays_away(live: LivePage) -> None:
    live.open(root(SAVE), poll=3600)
    lose_stream(live)
    live.page.click("#b")
    live.event().answer(swap("saved", rev=2))
    live.page.wait_for_selector("body:not(.live-offline)")
    live.server.next("stream")
    live.server.next("stream")  # which fails again
    assert live.page.locator("body.live-offline").count() == 0


def test_the_banner_goes_when_a_sync_is_answered(live: LivePage) -> None:
    live.open(root("1"), poll=0.05)
    lose_stream(live)
    live.server.on["sync"] = lambda exchange: exchange.answer(status=204)
    expect(live.page.locator("body.live-offline")).to_have_count(0)


def test_the_words_for_no_answer_go_when_the_handler_succeeds(live: LivePage) -> None:
    live.open(root(SAVE))
    live.page.click("#b")
    live.event().cut()
    expect(live.page.locator(".live-toast")).to_contain_text("No answer came.")
    live.page.click("#b")
    live.event().answer(status=204)
    expect(live.page.locator(".live-toast")).to_have_count(0)


@BOTH
def test_a_fields_newest_value_is_sent_again_under_its_nonce_when_the_server_answers(live: LivePage) -> None:
    live.open(root(FIND))
    live.page.fill("#q", "lo")
    first = live.event()
    live.server.on["sync"] = lambda exchange: exchange.cut()
    first.cut()
    live.server.next("sync")
    live.page.fill("#q", "lopez")
    second = live.event()
    live.server.on["sync"] = lambda exchange: exchange.answer(status=204)
    second.cut()
    again = live.event()
    assert (again.form["q"], again.headers["x-live-nonce"]) == (["lopez"], second.headers["x-live-nonce"])
    again.answer(status=204)
    expect(live.page.locator("#q:not([aria-busy])")).to_have_value("lopez")
    assert (live.server.count("event"), live.page.locator(".live-toast").count()) == (0, 0)


def test_the_hello_before_a_lost_value_does_not_count_as_an_answer_to_it(live: LivePage) -> None:
    live.open(root(FIND), frozen=True)
    live.server.on["sync"] = lambda exchange: exchange.cut()
    live.push('{"heartbeat": 15}', "e.1", "hello")
    live.page.fill("#q", "lopez")
    live.event().cut()
    live.server.next("sync")
    live.page.wait_for_selector("#q:not([aria-busy])")
    live.page.clock.run_for(200)  # past the moment at which the hello takes the banner away
    assert live.server.count("event") == 0


def test_a_value_that_gets_no_answer_twice_is_the_users_to_send(live: LivePage) -> None:
    live.open(root(FIND))
    live.page.fill("#q", "lopez")
    for _ in range(2):
        live.event().cut()
    expect(live.page.locator(".live-toast")).to_contain_text("No answer came.")
    assert live.server.count("event") == 0


def test_a_value_that_found_its_record_gone_is_sent_to_the_fresh_view(live: LivePage) -> None:
    live.open(root(FIND))
    live.page.fill("#q", "lopez")
    live.event().answer(swap(FIND, rev=2, grant="fresh"), X_Live_Remounted="1")
    again = live.event()
    assert (again.form["q"], again.headers["x-live"]) == (["lopez"], "fresh")
    again.answer(status=204)
    assert live.page.locator(".live-toast").count() == 0


@pytest.mark.parametrize("refused", ["stream", "sync", "event"])
def test_a_page_of_another_process_stops_loading_says_so_and_asks_again(live: LivePage, refused: str) -> None:
    live.open(root(SAVE + BUSY, pending="save:save"), frozen=True)
    expect(live.page.locator("#busy")).to_be_visible()
    live.server.on["stream"] = lambda exchange: exchange.answer(status=410)
    live.server.on["sync"] = lambda exchange: exchange.answer(status=410, Retry_After="30")
    if refused == "stream":
        live.stream.cut()
        live.page.wait_for_selector("body.live-offline")
        live.page.clock.run_for(300)
    elif refused == "sync":
        live.stream.send("event: reset\nid: f.2\ndata: {}\n\n")
    else:
        live.page.evaluate("b.disabled = false")
        live.page.click("#b")
        live.event().answer(status=410, Retry_After="30")
    expect(live.page.locator(".live-toast")).to_contain_text("The server cannot find this page.")
    expect(live.page.locator("#busy")).to_be_hidden()
    expect(live.page.locator("body.live-offline")).to_have_count(0)
    live.server.on["stream"] = lambda exchange: exchange.start_stream()
    while live.server.count("stream"):
        live.server.next("stream")
    live.page.clock.run_for(29_000)
    assert live.server.count("stream") == 0
    live.page.clock.run_for(2000)
    live.server.next("stream")
    for _ in range(100):  # the clock stands while the greeting is on its way
        if live.page.locator(".live-toast").count():
            live.page.clock.run_for(100)
    assert live.page.locator(".live-toast").count() == 0
