"""What the user typed, chose, opened and scrolled survives a push; what is stale is dropped."""

from random import Random

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import BOTH, LivePage
from tests.browser.markup import on, partial, root, swap

pytestmark = pytest.mark.browser


def value(live: LivePage, selector: str) -> str:
    return live.page.input_value(selector)


@pytest.mark.parametrize("focused", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<input id="t" value="a">', '<input id="t" value="b">'),
        ('<input id="t">', '<input id="t" value="b">'),
        ('<textarea id="t">a</textarea>', '<textarea id="t">b</textarea>'),
    ],
)
@BOTH
def test_typed_text_and_caret_survive_a_push(live: LivePage, old: str, new: str, focused: bool) -> None:
    live.open(root(f"<p>1</p>{old}<button>x</button>"))
    live.page.fill("#t", "typed text")
    live.page.evaluate("document.getElementById('t').setSelectionRange(2, 5)")
    if not focused:
        live.page.focus("button")
    live.push(swap(f"<p>2</p>{new}<button>x</button>", rev=2), "e.2")
    expect(live.page.locator("p")).to_have_text("2")
    seen = live.page.evaluate("[t.value, t.selectionStart, t.selectionEnd, t.defaultValue]")
    assert seen == ["typed text", 2, 5, "b"]
    assert live.page.evaluate("document.activeElement.id") == ("t" if focused else "")


@pytest.mark.parametrize("focused", [True, False])
def test_an_untouched_field_takes_the_servers_value(live: LivePage, focused: bool) -> None:
    old = '<p>1</p><input id="i" value="a"><textarea id="t">a</textarea>'
    live.open(root(old))
    if focused:
        live.page.focus("#i")
    live.push(swap(old.replace("a", "b").replace("vblue", "value").replace("textbreb", "textarea"), rev=2), "e.2")
    assert (value(live, "#i"), value(live, "#t")) == ("b", "b")


CHOICES = """<p>{p}</p><input type="checkbox" id="c"{c}>
<input type="radio" name="r" value="1" id="r1"{r1}><input type="radio" name="r" value="2" id="r2"{r2}>
<input type="radio" name="r" value="3" id="r3"{r3}>
<select id="s"><option value="1"{s1}>1<option value="2"{s2}>2<option value="3"{s3}>3</select>"""


def choices(p: int, **on_: str) -> str:
    return CHOICES.format(p=p, **{name: on_.get(name, "") for name in ("c", "r1", "r2", "r3", "s1", "s2", "s3")})


def chosen(live: LivePage) -> list[object]:
    return live.page.evaluate("[c.checked, document.querySelector('[name=r]:checked')?.value, s.value]")


@BOTH
def test_choices_of_the_user_survive_a_push(live: LivePage) -> None:
    live.open(root(choices(1, r1=" checked", s1=" selected")))
    live.page.check("#c")
    live.page.check("#r2")
    live.page.select_option("#s", "2")
    live.push(swap(choices(2, r3=" checked", s3=" selected"), rev=2), "e.2")
    assert chosen(live) == [True, "2", "2"]


def test_untouched_choices_take_the_servers_state_again_and_again(live: LivePage) -> None:
    live.open(root(choices(1, r1=" checked", s1=" selected")))
    live.push(swap(choices(2, c=" checked", r3=" checked", s3=" selected"), rev=2), "e.2")
    assert chosen(live) == [True, "3", "3"]
    live.push(swap(choices(3, r2=" checked", s2=" selected"), rev=3), "e.3")
    assert chosen(live) == [False, "2", "2"]


def test_a_box_that_the_user_ticked_can_be_cleared_by_the_server_once_it_agreed(live: LivePage) -> None:
    live.open(root(choices(1)))
    live.page.check("#c")
    live.push(swap(choices(2, c=" checked"), rev=2), "e.2")
    live.push(swap(choices(3), rev=3), "e.3")
    assert chosen(live)[0] is False


def form(inner: str) -> str:
    return f'<form id="f" {on("send", event="submit")}>{inner}<button>Send</button></form>'


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ('<input id="t" name="t" value="">', '<input id="t" name="t" value="">', ""),  # the server says: empty
        ('<input id="t" name="t">', '<input id="t" name="t" value="Tidy">', "Tidy"),
        ('<input id="t" name="t">', '<input id="t" name="t">', " tidy "),  # the server says nothing
        ('<textarea id="t" name="t"></textarea>', '<textarea id="t" name="t">Tidy</textarea>', "Tidy"),
        ('<textarea id="t" name="t"></textarea>', '<textarea id="t" name="t"></textarea>', " tidy "),
    ],
)
def test_a_field_that_was_just_sent_takes_what_the_answer_gives(live: LivePage, old: str, new: str, shown: str) -> None:
    live.open(root(form(old)))
    live.page.fill("#t", " tidy ")
    live.page.click("button")
    live.event().answer(swap(form(new), rev=2))
    live.page.wait_for_selector("[data-live-rev='2']")
    assert value(live, "#t") == shown


def test_what_is_typed_after_the_click_survives_the_answer(live: LivePage) -> None:
    live.open(root(form('<input id="t" name="t" value="">')))
    live.page.fill("#t", "first")
    live.page.click("button")
    event = live.event()
    live.page.fill("#t", "second")
    event.answer(swap(form('<input id="t" name="t" value="">'), rev=2))
    live.page.wait_for_selector("[data-live-rev='2']")
    assert value(live, "#t") == "second"


@BOTH
def test_an_answer_may_reset_every_field(live: LivePage) -> None:
    inner = form('<textarea id="t" name="t"></textarea>') + choices(1, r1=" checked", s1=" selected")
    live.open(root(inner))
    live.page.fill("#t", "sent")
    live.page.check("#c")
    live.page.check("#r2")
    live.page.select_option("#s", "2")
    live.page.click("button")
    event = live.event()
    live.page.fill("#t", "more")
    event.answer(swap(inner, rev=2), X_Live_Reset_Forms="1")
    live.page.wait_for_selector("[data-live-rev='2']")
    assert (value(live, "#t"), chosen(live)) == ("", [False, "1", "1"])


@BOTH
def test_open_details_and_dialogs_stay_open(live: LivePage) -> None:
    inner = "<p>{}</p><details id='d'><summary>More</summary>text</details><dialog id='g'>Sure?</dialog>"
    live.open(root(inner.format(1)))
    live.page.evaluate("d.open = true; g.showModal()")
    live.push(swap(inner.format(2), rev=2), "e.2")
    assert live.page.evaluate("[document.querySelector('p').textContent, d.open, g.open, g.matches(':modal')]") == [
        "2",
        True,
        True,
        True,
    ]


@BOTH
def test_the_server_may_open_and_close_details_and_dialogs(live: LivePage) -> None:
    inner = "<details id='d'{0}><summary>More</summary>text</details><dialog id='g'{0}>Sure?</dialog>"
    live.open(root(inner.format("")))
    live.push(swap(inner.format(" open"), rev=2), "e.2")
    assert live.page.evaluate("[d.open, g.open]") == [True, True]
    live.push(swap(inner.format(""), rev=3), "e.3")
    assert live.page.evaluate("[d.open, g.open]") == [False, False]


@BOTH
def test_autofocus_takes_the_focus_once_and_not_at_every_push(live: LivePage) -> None:
    inner = '<input id="t"><p>{}</p><input id="a" autofocus>'
    live.open(root(inner.format(1)))
    live.page.focus("#t")
    live.push(swap(inner.format(2), rev=2), "e.2")
    assert live.page.evaluate("[document.querySelector('p').textContent, document.activeElement.id]") == ["2", "t"]


@BOTH
def test_scroll_positions_survive_a_push(live: LivePage) -> None:
    rows = "".join(f"<p>row {n}</p>" for n in range(200))
    live.open(root(f'<div id="s">{rows}</div>{rows}'))
    live.page.evaluate(
        "() => {const sheet = new CSSStyleSheet(); sheet.replaceSync('#s {height: 90px; overflow: auto}');"
        "document.adoptedStyleSheets.push(sheet); s.scrollTop = 200; scrollTo(0, 300)}"
    )
    live.push(swap(f'<div id="s">{rows}<p>new</p></div>{rows}<p>new</p>', rev=2), "e.2")
    assert live.page.evaluate("[s.scrollTop, scrollY]") == [200, 300]


@BOTH
def test_a_kept_element_is_left_to_its_widget(live: LivePage) -> None:
    live.open(root('<p>1</p><div id="w" data-live-keep></div>'))
    live.page.evaluate("w.textContent = 'a map'; w.className = 'big'")
    live.push(swap('<p>2</p><div id="w" data-live-keep></div>', rev=2), "e.2")
    assert live.page.evaluate("[document.querySelector('p').textContent, w.textContent, w.className]") == [
        "2",
        "a map",
        "big",
    ]


@BOTH
def test_a_parents_fragment_leaves_a_childs_root_untouched(live: LivePage) -> None:
    child = root("<b>inside</b>", id="live-b", rev=5)
    live.open(root(f"<p>1</p>{child}<p>end</p>"))
    live.push(swap(f"<p>2</p><p>new</p>{root('', id='live-b', rev=1)}<p>end</p>", rev=2), "e.2")
    expect(live.page.locator("p").first).to_have_text("2")
    assert live.page.evaluate("document.getElementById('live-b').outerHTML") == child


@BOTH
def test_csrf_inputs_keep_their_token_and_new_ones_get_the_pages(live: LivePage) -> None:
    hidden = '<input type="hidden" name="csrfmiddlewaretoken" value="{}">'
    live.open(root(f"<form>{hidden.format('original')}</form>"))
    live.push(swap(f"<form>{hidden.format('')}</form><form>{hidden.format('')}</form>", rev=2), "e.2")
    assert live.page.locator("input").evaluate_all("all => all.map((one) => one.value)") == ["original", "csrf-token"]


def test_a_push_during_a_click_waits_for_the_answer(live: LivePage) -> None:
    live.open(root(f'<p>1</p><button id="b" {on("add")}>+</button>') + root("<i>1</i>", id="live-b"))
    live.page.click("#b")
    event = live.event()
    live.push(swap("<p>3</p>", rev=3), "e.2")
    live.push(swap("<i>2</i>", rev=2, id="live-b"), "e.3")
    expect(live.page.locator("i")).to_have_text("2")
    assert live.page.inner_text("p") == "1"
    event.answer(swap("<p>2</p>", rev=2))
    expect(live.page.locator("p")).to_have_text("3")


def test_a_push_waits_no_longer_than_two_seconds(live: LivePage) -> None:
    live.open(root(f'<p>1</p><button id="b" {on("add")}>+</button>'), frozen=True)
    live.page.click("#b")
    event = live.event()
    live.push(swap("<p>3</p>", rev=3), "e.2")
    live.page.clock.run_for(1900)
    assert live.page.inner_text("p") == "1"
    live.page.clock.run_for(200)
    expect(live.page.locator("p")).to_have_text("3")
    event.answer(swap("<p>2</p>", rev=2))  # overtaken
    live.page.wait_for_selector("body:not(.live-loading)")
    assert live.page.inner_text("p") == "3"


def test_fragments_in_any_order_and_twice_end_in_one_page(live: LivePage) -> None:
    roots = ["live-a", "live-b"]
    live.open("".join(root("<p>0</p><input>", id=id, rev=0) for id in roots))
    random, newest = Random(20), 0
    for turn in range(20):
        revs = range(newest + 1, newest + 6)
        fragments = [swap(f"<p>{rev}</p><input>", rev=rev, id=id) for rev in revs for id in roots]
        fragments += random.choices(fragments, k=4)
        random.shuffle(fragments)
        newest = revs[-1]
        for fragment in fragments[:-1]:
            live.stream.send(f"data: {fragment}\n\n")
        live.push(fragments[-1], f"e.{turn + 2}")
        assert live.page.locator("p").all_inner_texts() == [str(newest)] * 2


@BOTH
def test_answers_and_pushes_in_any_order_end_in_one_page(live: LivePage) -> None:
    live.open(root(f'<p>0</p><button id="b" {on("add")}>+</button>', rev=0))
    random, number = Random(3), 1
    for turn in range(8):
        revs = list(range(turn * 4 + 1, turn * 4 + 5))
        newest, mine = revs[-1], random.choice(revs)
        random.shuffle(revs)
        live.page.click("#b")
        event = live.event()
        early = random.randrange(4)
        for place, rev in enumerate(revs):
            if place == early:
                event.answer(swap(f'<p>{mine}</p><button id="b" {on("add")}>+</button>', rev=mine))
            number += 1
            live.push(swap(f'<p>{rev}</p><button id="b" {on("add")}>+</button>', rev=rev), f"e.{number}")
        live.page.wait_for_selector("body:not(.live-loading)")
        assert live.page.inner_text("p") == str(newest)


@BOTH
def test_a_partial_that_is_no_root_is_applied_as_it_comes(live: LivePage) -> None:
    live.open('<div id="region">old</div><ul id="list"><li>1</ul>')
    live.push(
        partial("<b>new</b>", "region", how="innerMorph") + "\n" + partial("<li>2</li>", "list", how="beforeend"), "e.2"
    )
    assert live.page.evaluate("[region.innerHTML, list.children.length]") == ["<b>new</b>", 2]


def test_an_applied_fragment_is_announced_on_its_target(live: LivePage) -> None:
    live.open(root("1"))
    live.page.evaluate("addEventListener('live:applied', (event) => seen.push(event.target.id + event.detail.id))")
    live.push(swap("2", rev=2), "e.2")
    live.push(swap("2", rev=2), "e.3")
    assert live.page.evaluate("seen") == ["connected", "live-alive-a"]
