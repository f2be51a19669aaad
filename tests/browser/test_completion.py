"""What a progress card asks for at its end: an event, a redirect; once."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LivePage
from tests.browser.markup import document, partial

pytestmark = pytest.mark.browser


def card(done: str = "", *, redirect: str = "", event: str = "import-over") -> str:
    ended = f' data-live-done="{done}"' if done else ""
    return (
        f'<div id="progress-s1" data-live-progress="s1"{ended} data-live-redirect="{redirect}"'
        f' data-live-event="{event}">{done or "running"}</div>'
    )


def listen(page: Page) -> None:
    page.evaluate("addEventListener('import-over', (event) => seen.push([event.target.id, event.detail]))")


def heard(page: Page) -> list[object]:
    return [one for one in page.evaluate("seen") if one != "connected"]


@pytest.mark.parametrize("status", ["complete", "error", "cancelled", "lost"])
def test_the_end_of_a_card_is_an_event_once(live: LivePage, status: str) -> None:
    live.open(card())
    listen(live.page)
    for number in (2, 3):
        live.push(partial(card(status), "progress-s1"), f"e.{number}")
        expect(live.page.locator("#progress-s1")).to_have_text(status)
    assert heard(live.page) == [["progress-s1", {"session": "s1", "status": status}]]


def test_a_card_that_was_done_when_it_was_first_seen_does_nothing(live: LivePage) -> None:
    live.server.pages["/report/"] = document("report", htmx=live.htmx)
    live.open(card("complete", redirect="/report/"))
    listen(live.page)
    live.push(partial(card("complete", redirect="/report/"), "progress-s1"), "e.2")
    assert (heard(live.page), live.page.url) == ([], live.server.url + "/")


def test_a_complete_card_goes_to_its_redirect_and_not_again_on_the_way_back(live: LivePage) -> None:
    live.server.pages["/report/"] = document("report", htmx=live.htmx)
    live.open(card(redirect="/report/"))
    live.server.pages["/"] = document(card("complete", redirect="/report/"), htmx=live.htmx)
    live.stream.send(f"data: {partial(card('complete', redirect='/report/'), 'progress-s1')}\n\n")
    expect(live.page).to_have_url(live.server.url + "/report/")
    live.page.goto(live.server.url + "/")
    live.server.next("stream")
    live.server.next("stream")
    live.until("seen.includes('connected')")
    assert live.page.url == live.server.url + "/"


def test_an_end_that_came_during_a_reload_is_not_missed(live: LivePage) -> None:
    live.server.pages["/report/"] = document("report", htmx=live.htmx)
    live.open(card(redirect="/report/"))
    live.server.pages["/"] = document(card("complete", redirect="/report/"), htmx=live.htmx)
    live.page.reload()
    expect(live.page).to_have_url(live.server.url + "/report/")


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example/", "javascript:seen.push(1)"])
def test_a_card_leads_to_no_other_site(live: LivePage, where: str) -> None:
    live.open(card(redirect=where))
    listen(live.page)
    live.push(partial(card("complete", redirect=where), "progress-s1"), "e.2")
    live.until("seen.length > 1")
    assert live.page.url == live.server.url + "/"
    assert heard(live.page) == [["progress-s1", {"session": "s1", "status": "complete"}]]


def test_a_failed_card_stays_where_it_is(live: LivePage) -> None:
    live.open(card(redirect="/report/"))
    listen(live.page)
    live.push(partial(card("error", redirect="/report/"), "progress-s1"), "e.2")
    live.until("seen.length > 1")
    assert live.page.url == live.server.url + "/"


def test_without_htmx_the_end_of_a_card_is_told_too(live: LivePage) -> None:
    live.htmx = ""
    live.open(card())
    listen(live.page)
    live.push(partial(card("complete"), "progress-s1"), "e.2")
    live.until("seen.length > 1")
    assert heard(live.page) == [["progress-s1", {"session": "s1", "status": "complete"}]]


FULL = """
const most = (text) => { try { for (;;) sessionStorage["fill" + sessionStorage.length] = text; } catch {} };
for (let size = 2 ** 20; size >= 1; size /= 2) most("x".repeat(size));"""
FORBIDDEN = (
    "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
)


@pytest.mark.parametrize("script", [FULL, FORBIDDEN], ids=["full", "forbidden"])
def test_a_page_lives_where_nothing_can_be_stored(live: LivePage, script: str) -> None:
    live.page.add_init_script(script)
    live.open(card())
    live.push(partial(card("complete"), "progress-s1"), "e.2")
    expect(live.page.locator("#progress-s1")).to_have_text("complete")
