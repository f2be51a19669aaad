"""The stream: how it is read, how it ends, and what happens while it is away."""

import json
from random import Random

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import document, on, partial, root, swap
from tests.browser.scripted_server import Exchange, message

pytestmark = pytest.mark.browser

LOG = '<span id="log" data-live-stream="log" data-live-offset="{at}">{text}</span>'


def append(text: str, offset: int, generation: str = "g1") -> str:
    return json.dumps({"target": "log", "generation": generation, "offset": offset, "text": text})


def test_the_stream_is_asked_for_with_grant_and_number(live: LivePage) -> None:
    live.open(root("1"), number="e.41")
    sent = {name: live.stream.headers[name] for name in ("x-live-page", "last-event-id", "accept")}
    assert sent == {"x-live-page": "page-grant", "last-event-id": "e.41", "accept": "text/event-stream"}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_messages_are_read_wherever_the_chunks_end(live: LivePage, ending: str) -> None:
    live.open(root("0") + '<ol id="list"></ol>')
    random, lines = Random(1), [f"<li>Ünï — 漢字 🎉 {n}\n second line</li>" for n in range(40)]
    text = "".join(
        f": comment{message(partial(line, 'list', how='beforeend'), id=f'e.{n}')}".replace(
            ": comment", ": comment\n", 1
        )
        for n, line in enumerate(lines)
    )
    data = text.replace("\n", ending).encode()
    while data:
        size = random.choice([1, 2, 3, 7, 50, 400])
        live.stream.send(data[:size])
        data = data[size:]
    live.stream.send(message(event="", id="e.99"))
    live.page.wait_for_selector("meta[data-number='e.99']", state="attached")
    assert live.page.locator("li").all_inner_texts() == [f"Ünï — 漢字 🎉 {n} second line" for n in range(40)]


def test_a_heartbeat_moves_the_number_that_a_reconnect_sends(live: LivePage) -> None:
    live.open(root("1"))
    live.stream.send(": \nid: e.7\n\n")
    live.page.wait_for_selector("meta[data-number='e.7']", state="attached")
    live.stream.cut()
    assert live.server.next("stream").headers["last-event-id"] == "e.7"


def test_an_ordinary_end_is_reopened_without_the_banner(live: LivePage) -> None:
    live.open(root("1"))
    live.page.evaluate("addEventListener('live:disconnected', () => seen.push('disconnected'))")
    live.stream.send(message("{}", event="bye"))
    live.server.next("stream")
    live.until("seen.length > 1")
    assert live.page.evaluate("seen") == ["connected", "connected"]


def test_the_banner_shows_while_the_server_is_away_and_goes_when_it_is_back(live: LivePage) -> None:
    live.open(root("1"))
    live.server.on["stream"] = Exchange.cut
    live.stream.cut()
    banner = live.page.locator(".live-banner")
    expect(banner).to_be_visible()
    expect(banner).to_have_text("Connection lost. Reconnecting…", use_inner_text=True)
    for _ in range(3):
        live.server.next("stream")
    live.server.on["stream"] = lambda exchange: exchange.start_stream()
    expect(banner).to_have_text("Connected again", use_inner_text=True)
    expect(banner).to_be_hidden()


def test_the_banner_stays_until_a_reset_is_made_good(live: LivePage) -> None:
    live.open(root("1"), frozen=True)
    live.server.on["sync"] = lambda exchange: None
    live.server.on["stream"] = lambda exchange: (exchange.start_stream(), exchange.send("event: reset\ndata: {}\n\n"))
    live.stream.cut()
    live.page.wait_for_selector(".live-banner", state="attached")
    live.page.clock.run_for(300)
    sync = live.server.next("sync")
    live.page.clock.run_for(1000)
    assert live.page.locator("body.live-offline").count() == 1
    sync.answer(swap("2", rev=2))
    expect(live.page.locator("body.live-offline")).to_have_count(0)
    assert live.page.inner_text("#live-a") == "2"


def test_the_page_polls_while_the_stream_is_down(live: LivePage) -> None:
    live.open(root("1"), poll=0.05)
    live.server.on["stream"] = lambda exchange: exchange.answer(status=503)
    live.server.on["sync"] = lambda exchange: exchange.answer(swap("2", rev=2), X_Live_Number="e.9")
    live.stream.cut()
    asked = live.server.next("sync").json
    assert asked == {
        "number": "e.1", "adopt": [], "subscriptions": [], "poll": True, "hidden": False, "streams": {},
        "roots": [{"live": "grant-live-a", "rev": 1}],
    }  # fmt: skip
    expect(live.page.locator("#live-a")).to_have_text("2")
    live.page.wait_for_selector("meta[data-number='e.9']", state="attached")


@BOTH
def test_a_page_without_streams_polls_for_good(live: LivePage) -> None:
    live.server.on["stream"] = lambda exchange: exchange.answer(status=204)
    messages = json.dumps([{"event": "notice", "data": json.dumps({"message": "Hi"})}])
    tail = f'<script type="application/json" data-live-messages>{messages}</script>'
    answer = swap("<b>2</b><script src='/none.js'></script>", rev=2) + "\n" + tail
    live.server.on["sync"] = lambda exchange: exchange.answer(answer)
    live.server.pages["/"] = document(root("1"), htmx=live.htmx, poll=0.05)
    live.page.goto(live.server.url)
    for _ in range(3):
        assert live.server.next("sync").json["poll"] is True
    expect(live.page.locator(".live-toast p").first).to_have_text("Hi")
    assert (live.server.queues["stream"].qsize(), live.page.locator(".live-banner").count()) == (1, 0)


CARD = '<div id="card" data-live-progress="s" data-status="{}"></div>'


@pytest.mark.parametrize(
    ("working", "ended"),
    [
        (root("1", pending="save:save"), swap("2", rev=2)),
        (CARD.format("running"), partial(CARD.format("complete"), "card")),
    ],
    ids=["job", "card"],
)
def test_a_page_without_streams_polls_twice_a_second_while_work_goes_on(
    live: LivePage, working: str, ended: str
) -> None:
    live.server.on["stream"] = lambda exchange: exchange.answer(status=204)
    live.server.on["sync"] = lambda exchange: None
    live.server.pages["/"] = document(working, htmx=live.htmx, poll=3600)
    live.page.clock.install(time=0)
    live.page.goto(live.server.url)
    for _ in range(3):
        live.server.next("sync").answer(status=204)
    live.server.next("sync").answer(ended)
    expect(live.page.locator("[data-live-pending*=save], [data-status=running]")).to_have_count(0)
    live.page.clock.run_for(60_000)
    assert live.server.count("sync") == 0


def test_work_that_begins_on_a_page_without_streams_is_polled_for_at_once(live: LivePage) -> None:
    live.server.on["stream"] = lambda exchange: exchange.answer(status=204)
    live.server.pages["/"] = document(root(f'<button id="b" {on("save")}>Save</button>'), htmx=live.htmx, poll=3600)
    live.page.goto(live.server.url)
    live.server.next("stream")
    live.page.click("#b")
    live.event().answer(swap("saving", rev=2, pending="save:save"))
    assert live.server.next("sync").json["poll"] is True


def test_a_server_that_does_not_answer_is_not_polled_twice_a_second(live: LivePage) -> None:
    live.server.on["stream"] = lambda exchange: exchange.answer(status=204)
    live.server.on["sync"] = lambda exchange: None
    live.server.pages["/"] = document(root("1", pending="save:save"), htmx=live.htmx, poll=3600)
    live.page.clock.install(time=0)
    live.page.goto(live.server.url)
    with live.page.expect_event("response", lambda response: response.status == 503):
        live.server.next("sync").answer(status=503)
    live.page.clock.run_for(60_000)
    assert live.server.count("sync") == 0


def test_a_login_page_instead_of_a_stream_is_asked_for_ever_less_often(live: LivePage) -> None:
    live.open(root("1"), frozen=True, poll=3600)
    live.server.on["stream"] = lambda exchange: exchange.answer("<p>Log in</p>")
    live.stream.cut()
    live.page.wait_for_selector("body.live-offline")
    for _ in range(8):
        with live.page.expect_event("response"):
            live.page.clock.fast_forward(2000)  # a jump: an answer that is quick leaves no time for a second try in it
        live.server.next("stream")
        live.page.clock.run_for(100)
        assert live.server.count("stream") == 0
    live.page.clock.run_for(10_000)
    assert live.server.count("stream") == 0


@pytest.mark.parametrize("status", [401, 404])
def test_a_bad_grant_is_said_by_sync_and_ends_the_stream(live: LivePage, status: int) -> None:
    live.open(root("1"), frozen=True)
    live.server.on["stream"] = lambda exchange: exchange.answer(status=status)
    live.server.on["sync"] = lambda exchange: exchange.answer(status=401)
    live.stream.cut()
    live.page.wait_for_selector("body.live-offline")
    live.page.clock.run_for(300)
    live.page.wait_for_selector("text=This page has expired.")
    expect(live.page.locator("[data-live-action=reload]")).to_have_text("Reload")
    live.server.next("stream")
    live.page.clock.run_for(600_000)
    assert (live.server.count("stream"), live.server.count("sync")) == (0, 1)


def test_a_stream_that_is_not_allowed_is_not_tried_again(live: LivePage) -> None:
    live.open(root("1"), frozen=True)
    live.server.on["stream"] = lambda exchange: exchange.answer(status=403)
    live.stream.cut()
    live.page.wait_for_selector("body.live-offline")
    live.page.clock.run_for(300)
    live.page.wait_for_selector("text=You are signed out, or not allowed to do this.")
    live.server.next("stream")
    live.page.clock.run_for(600_000)
    assert (live.server.count("stream"), live.server.count("sync")) == (0, 0)


def test_a_sync_whose_token_is_refused_says_so_and_is_not_tried_again(live: LivePage) -> None:
    live.server.on["sync"] = lambda exchange: exchange.answer(status=403, X_Live_Refused="csrf")
    live.open(root("1"), frozen=True)
    live.stream.send("event: reset\nid: f.2\ndata: {}\n\n")
    live.page.wait_for_selector("text=This page's security token is out of date.")
    live.server.next("sync")
    live.page.clock.run_for(600_000)
    assert live.server.count("sync") == 0


def test_a_silent_stream_is_given_up_after_two_and_a_half_heartbeats(live: LivePage) -> None:
    live.open(root("1"), frozen=True)
    for number in range(2, 6):
        live.stream.send(f": \nid: e.{number}\n\n")
        live.page.wait_for_selector(f"meta[data-number='e.{number}']", state="attached")
        live.page.clock.run_for(36_000)
        assert not live.stream.closed.is_set()
    live.page.clock.run_for(3000)
    assert live.stream.closed.wait(5)
    live.page.wait_for_selector("body.live-offline")
    live.page.clock.run_for(300)
    assert live.server.next("stream").headers["last-event-id"] == "e.5"


def test_a_reset_syncs_everything(live: LivePage) -> None:
    live.open(root("1"))
    live.push("", "f.1", event="reset")
    live.stream.send("event: reset\nid: f.2\ndata: {}\n\n")
    assert live.server.next("sync").json["number"] == ""


def test_a_sync_that_fails_while_the_stream_is_open_is_asked_again(live: LivePage) -> None:
    refusals = iter([lambda exchange: exchange.answer(status=503), lambda exchange: exchange.cut()])
    again = lambda exchange: exchange.answer(swap("2", rev=2))  # noqa: E731
    live.server.on["sync"] = lambda exchange: next(refusals, again)(exchange)
    live.open(root("1"), poll=0.05)
    live.stream.send("event: reset\nid: f.2\ndata: {}\n\n")
    expect(live.page.locator("#live-a")).to_have_text("2")
    assert [live.server.next("sync").json["number"] for _ in range(3)] == [""] * 3


def test_a_redirect_message_goes_there(live: LivePage) -> None:
    live.open(root("1"))
    live.server.pages["/there/"] = "<p>there</p>"
    live.stream.send(message(json.dumps({"url": "/there/", "page": "p"}), event="redirect"))
    expect(live.page).to_have_url(live.server.url + "/there/")


def test_a_redirect_to_a_script_goes_nowhere(live: LivePage) -> None:
    live.open(root("1"))
    live.push(json.dumps({"url": "javascript:alert(1)", "page": "p"}), "e.2", event="redirect")
    assert live.page.url == live.server.url + "/"


def test_text_is_appended_once_whatever_comes_twice(live: LivePage) -> None:
    live.open(root(LOG.format(at="g1.2", text="ab")))
    pieces = [("cd", 2), ("ab", 0), ("bcd🎉", 1), ("🎉e", 4), ("f", 6)]
    for number, (text, offset) in enumerate(pieces, 2):
        live.push(append(text, offset), f"e.{number}", "append")
    assert live.page.evaluate("[log.textContent, log.dataset.liveOffset, log.childNodes.length]") == [
        "abcd🎉ef",
        "g1.7",
        1,
    ]
    assert live.server.count("sync") == 0


def test_a_gap_in_the_text_asks_sync(live: LivePage) -> None:
    live.open(root(LOG.format(at="g1.2", text="ab")))
    live.server.on["sync"] = lambda exchange: exchange.answer(partial(LOG.format(at="g1.5", text="abcde"), "log"))
    live.push(append("e", 4), "e.2", "append")
    assert live.server.next("sync").json["streams"] == {"log": "g1.2"}
    expect(live.page.locator("#log")).to_have_text("abcde")


def test_a_new_generation_replaces_the_text_and_its_middle_asks_sync(live: LivePage) -> None:
    live.open(root(LOG.format(at="g1.2", text="ab")))
    live.push(append("new", 0, "g2"), "e.2", "append")
    assert live.page.evaluate("[log.textContent, log.dataset.liveOffset]") == ["new", "g2.3"]
    live.push(append("x", 9, "g3"), "e.3", "append")
    live.server.next("sync")
    assert live.page.inner_text("#log") == "new"


@BOTH
def test_a_fragment_never_takes_text_away(live: LivePage) -> None:
    live.open(root("<p>1</p>" + LOG.format(at="g1.2", text="ab")))
    live.push(append("cd", 2), "e.2", "append")
    live.push(swap("<p>2</p>" + LOG.format(at="g1.2", text="ab"), rev=2), "e.3")
    assert live.page.evaluate("[document.querySelector('p').textContent, log.textContent]") == ["2", "abcd"]
    live.push(swap("<p>3</p>" + LOG.format(at="g2.1", text="x"), rev=3), "e.4")
    assert live.page.inner_text("#log") == "x"


def test_a_click_works_while_the_stream_is_away(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("add")}>0</button>'))
    live.server.on["stream"] = Exchange.cut
    live.stream.cut()
    live.page.click("#b")
    live.event().answer(swap('<button id="b">1</button>', rev=2))
    expect(live.page.locator("#b")).to_have_text("1")


def test_a_device_without_a_network_is_told_apart_from_a_server_that_is_away(live: LivePage) -> None:
    live.open(root("1"))
    banner = live.page.locator(".live-banner")
    live.page.context.set_offline(True)
    expect(banner).to_be_visible()
    expect(banner).to_have_text("You are offline.", use_inner_text=True)
    live.page.context.set_offline(False)
    live.server.next("stream")
    expect(banner).to_have_text("Connected again", use_inner_text=True)


def test_who_is_signed_out_is_led_to_the_page_for_signing_in(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("add")}>+</button>'), signin="/accounts/login/?next=/shop/")
    live.server.pages["/accounts/login/"] = "<h1>Sign in</h1>"
    live.page.click("#b")
    live.event().answer("<h1>Sign in</h1>", status=403)
    link = live.page.get_by_role("alert").get_by_role("link", name="Sign in")
    assert link.get_attribute("href") == "/accounts/login/?next=/shop/"
    link.click()
    live.page.wait_for_url("**/accounts/login/?next=/shop/")
