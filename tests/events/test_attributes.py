"""The attributes of triggers and of elements that show that something is under way."""

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.template import TemplateSyntaxError
from django.utils.safestring import mark_safe

from htmx_live.events.attributes import (
    DISPLAY_VALUES,
    build_trigger_attributes,
    indicator_selector,
    loading,
    pending_token,
    render_attributes,
)


def save(event: str = "click", **options: Any) -> dict[str, str]:
    return build_trigger_attributes(event, "save", url="/live/event/save/", root_id="live-1", **options)


def test_a_trigger_carries_what_the_wire_says() -> None:
    assert save("click, keyup delay:1s", modifier="throttle:2000ms", values={"pk": 7}, key="7") == {
        "hx-post": "/live/event/save/",
        "hx-trigger": "click throttle:2000ms, keyup delay:1s",
        "hx-swap": "none",
        "hx-indicator": "this, #live-1 [data-live-for~='save']",
        "data-live-event": "save",
        "data-live-args": '{"pk":7}',
        "data-live-key": "7",
    }


def test_no_attribute_of_htmx_depends_on_values_or_key() -> None:
    def of_htmx(attributes: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in attributes.items() if name.startswith("hx-")}

    assert of_htmx(save(values={"pk": 7}, key="7")) == of_htmx(save())


def test_a_submitted_form_works_without_a_script() -> None:
    form = save("submit", values={"name": "a&b", "n": 1})
    assert form["method"] == "post"
    assert unquote(form["action"]) == '/live/event/save/?_args={"name":"a&b","n":1}'
    assert save("submit")["action"] == "/live/event/save/"


def test_a_form_elsewhere_is_no_reason_for_an_action() -> None:
    assert "action" not in save("submit from:#other")


def test_an_indicator_stays_one_selector_whatever_the_handler_is_called() -> None:
    assert indicator_selector("live-1", "a'],*") == "this, #live-1 [data-live-for~='a\\27 \\5d \\2c \\2a ']"
    assert indicator_selector("live-1", "größe_2") == "this, #live-1 [data-live-for~='größe_2']"


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (("save", "save"), "save:save"),
        (("save", "import all", "7:é"), "save:import%20all:7%3A%C3%A9"),
        (("a/b", "c", ""), "a%2Fb:c"),
    ],
)
def test_a_pending_word_quotes_its_parts(parts: tuple[str, ...], word: str) -> None:
    assert pending_token(*parts) == word


@pytest.mark.parametrize(
    ("directives", "options", "attributes"),
    [
        (("show",), {}, {"data-live-show": ""}),
        (("show",), {"display": "inline-flex"}, {"data-live-show": "inline-flex"}),
        (("hide", "disable"), {}, {"data-live-hide": "", "data-live-disable": ""}),
        ((), {"class": " a  b "}, {"data-live-class": "a b"}),
        ((), {"class_": "a", "remove_class": "b"}, {"data-live-class": "a", "data-live-remove-class": "b"}),
        (("show",), {"for": "save *:load"}, {"data-live-show": "", "data-live-for": "save *:load"}),
        (("show",), {"for_": ["save", "load"]}, {"data-live-show": "", "data-live-for": "save load"}),
        (("show",), {"key": User(pk=7)}, {"data-live-show": "", "data-live-key": "7"}),
        (("show",), {"key": 0}, {"data-live-show": "", "data-live-key": "0"}),
        (("show",), {"key": None, "delay": 0, "min": ""}, {"data-live-show": ""}),
        (
            ("show",),
            {"delay": 200, "min": "0.5s"},
            {"data-live-show": "", "data-live-delay": "200", "data-live-min": "500"},
        ),
    ],
)
def test_directives_and_options_become_attributes(
    directives: tuple[str, ...], options: dict[str, Any], attributes: dict[str, str]
) -> None:
    assert loading(*directives, **options) == attributes


@pytest.mark.parametrize(
    ("directives", "options", "reason"),
    [
        (("shwo",), {}, "no directive 'shwo'. Did you mean 'show'?"),
        (("wiggle",), {}, "no directive 'wiggle'. It knows: show, hide, disable."),
        (("show",), {"dealy": 200}, "no option 'dealy'. Did you mean 'delay'?"),
        ((), {}, "says nothing to do"),
        ((), {"for": "save"}, "says nothing to do"),
        (("show", "hide"), {}, "contradict each other"),
        (("hide",), {"display": "flex"}, 'goes with "show"'),
        (("show",), {"display": "flexx"}, "no display='flexx'. Did you mean 'flex'?"),
        (("show",), {"for": " "}, "names no handler or job"),
        (("show",), {"for": "save *:"}, "names no handler or job"),
        (("show",), {"delay": -1}, "delay: -1 is no interval"),
        (("show",), {"min": "soon"}, "min: 'soon' is no interval"),
    ],
)
def test_a_mistake_says_what_was_meant(directives: tuple[str, ...], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        loading(*directives, **options)
    assert reason in str(caught.value)


def test_flat_attributes_are_escaped_even_when_marked_safe() -> None:
    hostile = mark_safe("\"><script>'&")
    text = render_attributes({"data-live-class": hostile, "data-live-hide": ""})
    assert text == 'data-live-class="&quot;&gt;&lt;script&gt;&#x27;&amp;" data-live-hide'
    assert unescape(text.split('"')[1]) == hostile


def test_the_style_sheet_has_a_rule_for_each_display() -> None:
    path = finders.find("htmx_live/htmx-live.css")
    assert path is not None
    found = re.findall(r'\[data-live-show="([a-z-]+)"\]', Path(path).read_text())
    assert sorted(set(found)) == sorted(DISPLAY_VALUES)
