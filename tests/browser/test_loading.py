"""Loading state: requests in flight and data-live-pending, nothing else."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import on, partial, root, swap

pytestmark = pytest.mark.browser

BODY = """
<button id="save" {save}>Save</button>
<p id="show" data-live-show data-live-for="save">Saving</p>
<p id="flex" data-live-show="flex" data-live-for="save">Saving</p>
<p id="hide" data-live-hide data-live-for="save">Idle</p>
<input id="disable" data-live-disable data-live-for="save">
<p id="class" class="a" data-live-class="b c" data-live-for="save"></p>
<p id="remove" class="a b" data-live-remove-class="b x" data-live-for="other save"></p>
"""


def body(rev: int = 1, **options: str) -> str:
    return root(BODY.format(save=on("save")), rev=rev, **options)


def looks(page: Page) -> dict[str, object]:
    return page.evaluate(
        """() => {
            const get = (id) => document.getElementById(id), display = (id) => getComputedStyle(get(id)).display;
            const names = (id) => [...get(id).classList].filter((name) => !/live|htmx/.test(name)).sort().join(" ");
            return {show: display("show"), flex: display("flex"), hide: display("hide"),
                    disabled: get("disable").disabled,
                    class: names("class"), remove: names("remove"), busy: get("save").getAttribute("aria-busy"),
                    page: document.body.classList.contains("live-loading")};
        }"""
    )


IDLE = {
    "show": "none", "flex": "none", "hide": "block", "disabled": False,
    "class": "a", "remove": "a b", "busy": None, "page": False,
}  # fmt: skip
LOADING = {
    "show": "block", "flex": "flex", "hide": "none", "disabled": True,
    "class": "a b c", "remove": "a", "busy": "true", "page": True,
}  # fmt: skip


def expect_loading(page: Page, loading: bool) -> None:
    page.wait_for_selector("body.live-loading" if loading else "body:not(.live-loading)")
    assert looks(page) == (LOADING if loading else IDLE)


@BOTH
def test_every_directive_lasts_as_long_as_the_request(live: LivePage) -> None:
    live.open(body())
    assert looks(live.page) == IDLE
    live.page.click("#save")
    event = live.event()
    assert looks(live.page) == LOADING
    event.answer(partial(body(2)))
    expect_loading(live.page, False)


def test_loading_goes_on_while_the_answer_says_that_a_job_runs(live: LivePage) -> None:
    live.open(body())
    live.page.click("#save")
    live.event().answer(partial(body(2, pending="save:save")))
    live.page.wait_for_selector("[data-live-rev='2']")
    expect_loading(live.page, True)
    live.push(partial(body(3)), "e.2")
    expect_loading(live.page, False)


def test_a_job_that_runs_when_the_page_is_loaded_shows_at_once(live: LivePage) -> None:
    live.open(body(pending="save:save"))
    assert looks(live.page) == LOADING


@BOTH
def test_loading_survives_a_morph_during_the_request(live: LivePage) -> None:
    live.open(body() + root("", id="live-b"))
    live.page.evaluate("htmxLive.loading.start('save')")
    live.push(partial(body(2)), "e.2")
    live.page.wait_for_selector("[data-live-rev='2']")
    assert looks(live.page) == LOADING | {"busy": "true"}
    live.page.evaluate("htmxLive.loading.stop('save')")
    assert looks(live.page) == IDLE


@pytest.mark.parametrize("status", [204, 403, 409, 422, 500, 503])
def test_loading_ends_whatever_the_status_is(live: LivePage, status: int) -> None:
    live.open(body())
    live.page.click("#save")
    live.event().answer(status=status)
    expect_loading(live.page, False)


@BOTH
def test_loading_ends_when_the_connection_dies(live: LivePage) -> None:
    live.open(body())
    live.page.click("#save")
    live.event().cut()
    expect_loading(live.page, False)


@BOTH
def test_loading_ends_when_the_request_is_aborted(live: LivePage) -> None:
    live.open(body())
    live.page.click("#save")
    live.event()
    live.page.evaluate("htmx.trigger('#save', 'htmx:abort')")
    expect_loading(live.page, False)


@BOTH
def test_loading_ends_when_a_listener_cancels_the_request(live: LivePage) -> None:
    live.open(body())
    live.page.evaluate("addEventListener('htmx:before:request', (event) => event.preventDefault())")
    live.page.click("#save")
    expect_loading(live.page, False)


@BOTH
def test_a_declined_confirmation_never_loads(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("drop")} hx-confirm="Sure?">Drop</button>'))
    live.page.on("dialog", lambda dialog: dialog.dismiss())
    live.page.click("#b")
    assert live.page.evaluate("htmxLive.loading.pending.has('drop')") is False
    assert live.server.count("event") == 0


def test_the_focus_returns_when_the_element_is_enabled_again(live: LivePage) -> None:
    live.open(root(f'<input id="name" {on("save", event="change")} data-live-disable>'))
    live.page.fill("#name", "Ada")
    live.page.press("#name", "Enter")
    event = live.event()
    expect(live.page.locator("#name")).to_be_disabled()
    event.answer(status=204)
    expect(live.page.locator("#name")).to_be_enabled()
    expect(live.page.locator("#name")).to_be_focused()


def test_what_the_server_disables_during_the_request_stays_disabled(live: LivePage) -> None:
    live.open(root(f'<button id="b" {on("save")} data-live-disable>Save</button>'))
    live.page.click("#b")
    live.event().answer(swap(f'<button id="b" {on("save")} data-live-disable disabled>Saved</button>', rev=2))
    expect(live.page.locator("#b")).to_have_text("Saved")
    live.page.wait_for_selector("body:not(.live-loading)")
    expect(live.page.locator("#b")).to_be_disabled()


ROWS = "".join(
    f'<p><button id="b{pk}" {on("send", {"pk": pk}, key=str(pk))}>Send</button>'
    f'<i id="i{pk}" data-live-show data-live-for="send" data-live-key="{pk}">…</i></p>'
    for pk in (1, 2)
)


def test_a_key_tells_the_rows_apart(live: LivePage) -> None:
    live.open(root(ROWS))
    live.page.click("#b2")
    event = live.event()
    expect(live.page.locator("#i2")).to_be_visible()
    expect(live.page.locator("#i1")).to_be_hidden()
    event.answer(swap(ROWS, rev=2, pending="send:send:1"))
    expect(live.page.locator("#i1")).to_be_visible()
    expect(live.page.locator("#i2")).to_be_hidden()
    assert live.page.locator("#b1.live-busy, #b2.live-busy").evaluate_all("all => all.map((one) => one.id)") == ["b1"]


def test_quoted_words_of_pending_are_read(live: LivePage) -> None:
    live.open(
        root('<i id="i" data-live-show data-live-for="send" data-live-key="a:b c">…</i>', pending="send:x:a%3Ab%20c")
    )
    expect(live.page.locator("#i")).to_be_visible()


def test_a_name_means_its_own_view_and_a_star_means_any(live: LivePage) -> None:
    spinners = '<i class="own" data-live-show data-live-for="save"></i>'
    spinners += '<i class="any" data-live-show data-live-for="*:save"></i>'
    live.open(root(spinners, pending="save:x") + root(spinners, id="live-b") + spinners)
    shown = live.page.locator("i.live-on").evaluate_all(
        "all => all.map((one) => one.className + ' ' + (one.parentElement.id || 'page'))"
    )
    assert shown == ["own live-on live-a", "any live-on live-a", "any live-on live-b", "any live-on page"]


def test_for_names_the_job_as_well_as_the_handler(live: LivePage) -> None:
    spinner = '<i id="{0}" data-live-show data-live-for="{0}"></i>'
    live.open(root(spinner.format("job") + spinner.format("save") + spinner.format("other"), pending="save:job"))
    assert live.page.locator(".live-on").evaluate_all("all => all.map((one) => one.id)") == ["job", "save"]


def test_without_for_the_scope_is_the_enclosing_trigger(live: LivePage) -> None:
    buttons = "".join(
        f'<button id="b{n}" {on("save", {"n": n})}>Save <i id="i{n}" data-live-show>…</i></button>' for n in (1, 2)
    )
    live.open(root(buttons + '<i id="lost" data-live-show>…</i>'))
    live.page.click("#b1")
    live.event()
    expect(live.page.locator("#i1")).to_be_visible()
    expect(live.page.locator("#i2, #lost")).to_have_count(2)
    assert live.page.locator(".live-on").evaluate_all("all => all.map((one) => one.id)") == ["i1"]


def test_without_a_trigger_the_scope_is_the_grouping_class(live: LivePage) -> None:
    cards = "".join(
        f'<p class="card"><button id="b{n}" {on("save", {"n": n})}>Save</button><i id="i{n}" data-live-show>…</i></p>'
        for n in (1, 2)
    )
    live.open(root(cards))
    live.page.click("#b2")
    live.event()
    expect(live.page.locator("#i2")).to_be_visible()
    expect(live.page.locator("#i1")).to_be_hidden()


def test_a_short_wait_never_shows_a_delayed_directive(live: LivePage) -> None:
    live.open(
        root(
            f'<button id="b" {on("save")}>Save</button>'
            '<i id="i" data-live-show data-live-for="save" data-live-delay="60000">…</i>'
        )
    )
    live.page.click("#b")
    event = live.event()
    live.page.wait_for_selector("body.live-loading")
    expect(live.page.locator("#i")).to_be_hidden()
    event.answer(status=204)
    live.page.wait_for_selector("body:not(.live-loading)")
    expect(live.page.locator("#i")).to_be_hidden()


def test_a_delayed_directive_shows_after_its_delay(live: LivePage) -> None:
    live.open(root('<i id="i" data-live-show data-live-for="save" data-live-delay="50">…</i>', pending="save:save"))
    expect(live.page.locator("#i")).to_be_visible()


def test_min_keeps_a_directive_after_the_request(live: LivePage) -> None:
    text = f'<button id="b" {on("save")}>Save</button>'
    text += '<i id="i" data-live-show data-live-for="save" data-live-min="{}">…</i>'
    live.open(root(text.format(60000)) + root(text.format(50).replace('"b"', '"c"').replace('"i"', '"j"'), id="live-b"))
    for button in ("#b", "#c"):
        live.page.click(button)
        live.event().answer(status=204)
    live.page.wait_for_selector("body:not(.live-loading)")
    expect(live.page.locator("#j")).to_be_hidden()
    expect(live.page.locator("#i")).to_be_visible()


def test_the_loading_api_counts_for_every_view(live: LivePage) -> None:
    live.open(body())
    live.page.evaluate("htmxLive.loading.start('save')")
    assert live.page.evaluate("htmxLive.loading.pending.has('save')") is True
    assert looks(live.page) == LOADING
    live.page.evaluate("htmxLive.loading.stop('save')")
    assert looks(live.page) == IDLE
