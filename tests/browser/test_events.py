"""Events of a user: their order, what they carry, and what their answers do."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import on, partial, root, swap

pytestmark = pytest.mark.browser


def toast(page: Page) -> str:
    return page.locator(".live-toast p").inner_text()


@BOTH
def test_an_event_carries_grants_nonce_token_and_arguments(live: LivePage) -> None:
    live.open(
        root(
            f'<form {on("save", {"pk": 7}, event="submit")}><input name="title" value="A"><button>Save</button></form>'
        )
    )
    live.page.click("button")
    event = live.event()
    assert event.form == {"title": ["A"], "_args": ['{"pk": 7}']}
    sent = {name: event.headers[name] for name in ("x-live", "x-live-page", "x-csrftoken")}
    assert sent == {"x-live": "grant-live-a", "x-live-page": "page-grant", "x-csrftoken": "csrf-token"}
    assert len(bytes.fromhex(event.headers["x-live-nonce"])) == 16


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ('<input id="c" value="a" {}>', "a"),
        ('<input id="c" type="checkbox" checked {}>', "true"),
        ('<input id="c" type="checkbox" {}>', "false"),
        ('<select id="c" {}><option value="x">X<option value="y" selected>Y</select>', "y"),
        ('<textarea id="c" {}>text</textarea>', "text"),
        ('<button id="c" value="go" {}>Go</button>', "go"),
    ],
)
def test_a_control_without_a_name_sends_its_value(live: LivePage, control: str, value: str) -> None:
    live.open(root(control.format(on("set", event="poke"))))
    live.page.evaluate("document.getElementById('c').dispatchEvent(new Event('poke'))")
    assert live.event().form == {"value": [value]}


@BOTH
def test_quick_clicks_are_all_sent_in_order_one_at_a_time(live: LivePage) -> None:
    live.open(root("".join(f'<button id="b{n}" {on("add", {"n": n})}>{n}</button>' for n in range(3))))
    live.page.evaluate("for (const n of [0, 0, 1, 0, 2]) document.getElementById('b' + n).click()")
    order = []
    for rev in range(2, 7):
        event = live.event()
        assert live.server.count("event") == 0
        order.append(json.loads(event.form["_args"][0])["n"])
        event.answer(swap("".join(f'<button id="b{n}" {on("add", {"n": n})}>{n}</button>' for n in range(3)), rev=rev))
    assert order == [0, 0, 1, 0, 2]
    live.page.wait_for_selector("[data-live-rev='6']")
    live.page.wait_for_selector("body:not(.live-loading)")


def row(pk: int) -> str:
    trigger = on("drop", {"pk": pk}, event="submit")
    return f'<form id="r{pk}" {trigger}><input name="why" id="w{pk}"><button>Drop</button></form>'


@BOTH
def test_an_event_whose_trigger_is_swapped_away_still_goes_out_with_its_values(live: LivePage) -> None:
    live.open(root(row(1) + row(2) + row(3)))
    live.page.fill("#w2", "old")
    live.page.evaluate("for (const n of [1, 2, 3]) document.getElementById('r' + n).requestSubmit()")
    live.event().answer(swap(row(3), rev=2))  # rows 1 and 2 are gone
    second = live.event()
    assert second.form == {"why": ["old"], "_args": ['{"pk": 2}']}
    second.answer(swap(row(3), rev=3))
    third = live.event()
    assert third.form == {"why": [""], "_args": ['{"pk": 3}']}
    third.answer(swap("<b>none left</b>", rev=4))
    expect(live.page.locator("#live-a")).to_have_text("none left")
    live.page.wait_for_selector("body:not(.live-loading)")


def test_two_views_do_not_wait_for_each_other(live: LivePage) -> None:
    live.open(
        root(f'<button id="a" {on("one")}>1</button>') + root(f'<button id="b" {on("two")}>2</button>', id="live-b")
    )
    live.page.click("#a")
    live.page.click("#b")
    assert {live.event().path, live.event().path} == {"/live/event/one/", "/live/event/two/"}


@BOTH
def test_of_waiting_keystrokes_only_the_newest_goes_out(live: LivePage) -> None:
    live.open(root(f'<input id="q" name="q" {on("search", event="input")}>'))
    live.page.locator("#q").press_sequentially("abcd")
    first = live.event()
    assert first.form["q"] == ["a"]
    first.answer(status=204)
    second = live.event()
    assert second.form["q"] == ["abcd"]
    second.answer(status=204)
    live.page.wait_for_selector("body:not(.live-loading)")
    assert live.server.count("event") == 0


@BOTH
def test_an_abort_of_a_waiting_event_sends_nothing(live: LivePage) -> None:
    live.open(root(f'<button id="a" {on("one")}>1</button><button id="b" {on("two")}>2</button>'))
    live.page.click("#a")
    live.page.click("#b")
    live.page.evaluate("htmx.trigger('#b', 'htmx:abort')")
    live.event().answer(status=204)
    live.page.wait_for_selector("body:not(.live-loading)")
    assert (live.server.count("event"), live.server.count("sync"), live.page.locator(".live-toast").count()) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, "This page has expired. Reload it to go on."),
        (403, {}, "You are signed out, or not allowed to do this."),
        (403, {"X_Live_Refused": "csrf"}, "This page's security token is out of date. Reload the page to go on."),
        (
            403,
            {"X_Live_Refused": "csrf", "X_Live_Reason": "CSRF cookie not set."},
            "This page's security token is out of date. Reload the page to go on. CSRF cookie not set.",
        ),
        (404, {}, "This page has expired. Reload it to go on."),
        (409, {}, "This is busy with something else."),
        (410, {}, "This page has expired. Reload it to go on."),
        (413, {}, "That is too large."),
        (422, {"X_Live_Field": "year"}, "That value does not fit: year"),
        (429, {}, "Too many requests. Please wait a moment."),
        (500, {"X_Live_Error": "a1b2"}, "Something went wrong. We wrote it down as a1b2."),
        (503, {}, "The service is not available at the moment."),
        (418, {}, "That did not work."),
    ],
)
def test_every_status_is_said_in_words_and_never_swapped(
    live: LivePage, status: int, headers: dict[str, str], words: str
) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    page = f"<html><head><title>Error</title></head><body>{partial('hacked', 'b', how='innerHTML')}</body></html>"
    live.event().answer(page, status=status, **headers)
    live.page.wait_for_selector("body:not(.live-loading)")
    assert (toast(live.page), live.page.title(), live.page.inner_text("#b")) == (words, "Test", "Save")


@BOTH
def test_what_was_typed_stays_when_the_token_is_refused(live: LivePage) -> None:
    live.open(root(f'<form {on("save", event="submit")}><input id="t" name="t"><button>Save</button></form>'))
    live.page.fill("#t", "typed")
    live.page.click("button")
    live.event().answer(status=403, X_Live_Refused="csrf")
    live.page.wait_for_selector(".live-toast [data-live-action=reload]")
    assert live.page.input_value("#t") == "typed"


def test_a_form_of_our_own_urls_says_that_its_token_is_refused(live: LivePage) -> None:
    live.server.on["other"] = lambda exchange: exchange.answer(status=403, X_Live_Refused="csrf")
    live.open('<form hx-post="/live/progress/grant/cancel/" hx-swap="none"><button>Cancel</button></form>')
    live.page.click("button")
    live.page.wait_for_selector(".live-toast")
    assert toast(live.page) == "This page's security token is out of date. Reload the page to go on."


@BOTH
def test_a_csrf_token_that_another_page_has_replaced_is_read_from_its_cookie(live: LivePage) -> None:
    field = '<input type="hidden" name="csrfmiddlewaretoken" value="stale">'
    forms = [
        f"<form {given}>{field}<button>Send</button></form>"
        for given in (on("save", event="submit"), 'hx-post="/own/"')
    ]
    live.open(root(forms[0]) + forms[1], csrf_cookie="token")
    cookies = [{"name": name, "value": value} for name, value in (("a-token", "no"), ("token", "now"), ("z", "no"))]
    live.page.context.add_cookies([{**cookie, "url": live.server.url} for cookie in cookies])  # type: ignore[list-item]
    live.page.locator("button").first.click()
    event = live.event()
    assert (event.headers["x-csrftoken"], event.form["csrfmiddlewaretoken"]) == ("now", ["now"])
    live.page.locator("button").last.click()
    assert live.server.next("other").form["csrfmiddlewaretoken"] == ["now"]
    assert live.page.evaluate("htmxLive.csrf()") == "now"


@BOTH
def test_a_header_for_the_csrf_token_is_filled_when_a_render_has_emptied_it(live: LivePage) -> None:
    headers = 'hx-headers=\'{"X-CSRFToken": "%s"}\''
    live.open(root(f'<button hx-post="/own/" hx-swap="none" {headers % "first"}>Own</button>'))
    live.push(swap(f'<button hx-post="/own/" hx-swap="none" {headers % ""}>Own</button>', rev=2), "e.2")
    live.page.wait_for_selector("""[hx-headers='{"X-CSRFToken": ""}']""")
    live.page.click("button")
    assert live.server.next("other").headers["x-csrftoken"] == "csrf-token"


@BOTH
def test_a_login_page_instead_of_an_answer_is_not_swapped(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    live.event().answer("<html><head><title>Log in</title></head><body>Log in</body></html>")
    live.page.wait_for_selector(".live-toast")
    assert (toast(live.page), live.page.title()) == ("You are signed out, or not allowed to do this.", "Test")


@pytest.mark.parametrize("status", [409, 429, 503])
def test_try_again_sends_the_same_values_with_a_new_nonce(live: LivePage, status: int) -> None:
    live.open(root(f'<form {on("save", [1], event="submit")}><input id="t" name="t"><button>Save</button></form>'))
    live.page.fill("#t", "first")
    live.page.click("button")
    refused = live.event()
    refused.answer(status=status)
    live.page.fill("#t", "second")
    live.page.click("text=Try again")
    again = live.event()
    assert (again.form, again.headers["x-live"]) == (refused.form, "grant-live-a")
    assert again.headers["x-live-nonce"] != refused.headers["x-live-nonce"]
    again.answer(swap("<b>done</b>", rev=2))
    expect(live.page.locator("b")).to_have_text("done")
    assert live.page.locator(".live-toast").count() == 0


@BOTH
def test_without_an_answer_the_page_syncs_and_the_same_nonce_is_offered(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    lost = live.event()
    lost.cut()
    assert live.server.next("sync").json["roots"] == [{"live": "grant-live-a", "rev": 1}]
    live.page.click("text=Try again")
    again = live.event()
    assert again.headers["x-live-nonce"] == lost.headers["x-live-nonce"]
    again.answer(swap("<b>once</b>", rev=2))
    expect(live.page.locator("b")).to_have_text("once")


@BOTH
def test_an_answer_that_breaks_off_counts_as_none(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    event = live.event()
    event.start(Content_Type="text/html", Content_Length="1000")
    event.send("<hx-partial")
    event.cut()
    live.server.next("sync")
    expect(live.page.get_by_text("No answer came.")).to_be_visible()


def test_an_event_goes_out_with_the_grant_that_its_root_has_by_then(live: LivePage) -> None:
    button = f'<button id="b" {on("add")}>+</button>'
    live.open(root(button))
    live.page.click("#b")
    live.page.click("#b")
    live.event().answer(partial(root(button, rev=2, grant="newer")))
    assert live.event().headers["x-live"] == "newer"


def test_notices_of_an_answer_become_toasts(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    notices = [
        {"message": "Gespeichert \u2713", "level": "success", "key": "s"},
        {"message": "<b>x</b>", "level": "odd"},
    ]
    live.event().answer(status=204, X_Live_Notices=json.dumps(notices))
    live.page.wait_for_selector(".live-toast >> nth=1")
    shown = live.page.locator(".live-toast").evaluate_all(
        "all => all.map((one) => [one.dataset.level, one.role, one.firstChild.textContent])"
    )
    assert shown == [["success", "status", "Gespeichert ✓"], ["info", "status", "<b>x</b>"]]


def test_a_toast_replaces_the_one_with_its_key_and_can_be_closed(live: LivePage) -> None:
    live.open("")
    for number, message in enumerate(["1 %", "2 %"], 2):
        live.push(
            json.dumps({"message": message, "level": "warning", "key": "k", "url": "/x/"}), f"e.{number}", "notice"
        )
    assert live.page.locator(".live-toast a").evaluate_all("all => all.map((a) => [a.textContent, a.pathname])") == [
        ["2 %", "/x/"]
    ]
    live.page.click("[aria-label=Close]")
    expect(live.page.locator(".live-toast")).to_have_count(0)


@pytest.mark.parametrize(("how", "entries"), [("push", 1), ("replace", 0)])
@BOTH
def test_the_address_bar_follows_its_header(live: LivePage, how: str, entries: int) -> None:
    live.open(root(f'<button id="b" {on("sort")}>Sort</button>'))
    before = live.page.evaluate("history.length")
    live.page.click("#b")
    live.event().answer(status=204, X_Live_Url=f"{how} /?sort=name")
    live.page.wait_for_url("**/?sort=name")
    assert live.page.evaluate("history.length") - before == entries


@BOTH
def test_a_redirect_goes_there(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("go")}>Go</button>'))
    live.server.pages["/there/"] = "<p>there</p>"
    live.page.click("#b")
    live.event().answer(status=204, HX_Redirect="/there/")
    expect(live.page).to_have_url(live.server.url + "/there/")


def test_an_event_that_found_its_record_gone_says_so(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.click("#b")
    live.event().answer(swap("<b>fresh</b>", rev=2), X_Live_Remounted="1")
    expect(live.page.locator("b")).to_have_text("fresh")
    assert toast(live.page) == "The server has reset this page. Please repeat your last action."


def test_an_error_can_be_answered_by_the_page_itself(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")}>Save</button>'))
    live.page.evaluate(
        "addEventListener('live:error', (event) => {"
        "event.preventDefault(); seen.push([event.target.id, event.detail.status])})"
    )
    live.page.click("#b")
    live.event().answer(status=409)
    live.until("seen.length === 2")
    assert live.page.evaluate("seen[1]") == ["b", 409]
    assert live.page.locator(".live-toast").count() == 0
