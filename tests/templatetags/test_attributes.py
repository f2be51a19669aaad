"""The tags `{% on %}`, `{% loading %}` and `{% live_fields %}`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template import TemplateSyntaxError, engines
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from htmx_live.events.attributes import on
from htmx_live.events.context import RenderContext, current_view
from htmx_live.events.handlers import background, collect_handlers, debounce, event_handler


class Rows:
    @event_handler
    def load(self, year: int = 2026, query: str = "", *, flag: bool = False) -> None: ...

    @event_handler
    @debounce(wait=0.5)
    @background(key="pk")
    def resend(self, pk: int) -> None: ...

    @event_handler
    def save(self, **kwargs: Any) -> None: ...


@contextmanager
def live_view(instance: str = "1") -> Iterator[None]:
    rendering = RenderContext(
        instance=instance,
        view_path="tests.Rows",
        handlers=collect_handlers(Rows),
        event_url="/live/event/{}/".format,
        hidden_fields={"_live": 'G"1'},
        view=None,
    )
    token = current_view.set(rendering)
    try:
        yield
    finally:
        current_view.reset(token)


def attributes_of(html: str) -> dict[str, str]:
    found: list[list[tuple[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(attrs)  # type: ignore[method-assign]
    parser.feed(html)
    (attrs,) = found
    assert len(dict(attrs)) == len(attrs)
    return {name: value or "" for name, value in attrs}


def compiled(source: str) -> Any:
    return engines["django"].from_string("{% load htmx_live %}" + source)


def shown(tags: str, **context: Any) -> dict[str, str]:
    with live_view():
        return attributes_of(compiled(f"<b {tags}>").render(context))


def refused(tags: str, **context: Any) -> str:
    with live_view(), pytest.raises(TemplateSyntaxError) as caught:
        compiled(f"<b {tags}>").render(context)
    return str(caught.value)


def args_of(tags: str, **context: Any) -> Any:
    return json.loads(shown(tags, **context)["data-live-args"])


# {% on %}


def test_on_writes_the_attributes_of_a_trigger() -> None:
    assert shown('{% on "click" "resend" pk=row.pk %}', row=User(pk=7)) == {
        "hx-post": "/live/event/resend/",
        "hx-trigger": "click delay:500ms",
        "hx-swap": "none",
        "hx-indicator": "this, #live-1 [data-live-for~='resend']",
        "data-live-event": "resend",
        "data-live-args": '{"pk":7}',
        "data-live-key": "7",
    }


def test_on_in_a_template_and_on_in_python_agree() -> None:
    with live_view():
        written = on("click", "load", 2026, values={"flag": True})
    assert shown('{% on "click" "load" 2026 flag=True %}') == written
    assert shown('{% on "click" "load" year flag=flag %}', year=2026, flag=True) == written


def test_values_by_position_get_the_declared_names() -> None:
    assert args_of('{% on "click" "load" 2026 "tea" %}') == {"year": 2026, "query": "tea"}


def test_values_keep_their_types() -> None:
    tags = '{% on "click" "save" a=1 b=1.5 c="1" d=True e=None f=rows g=row %}'
    assert args_of(tags, rows=[1, "2"], row=User(pk=7)) == {
        "a": 1,
        "b": 1.5,
        "c": "1",
        "d": True,
        "e": None,
        "f": [1, "2"],
        "g": 7,
    }


def test_filters_apply_to_values() -> None:
    assert args_of('{% on "click" "save" a=name|upper b=nobody|default:3 %}', name="x") == {"a": "X", "b": 3}


def test_arguments_may_be_called_as_words_of_python_and_of_the_tag() -> None:
    assert args_of('{% on "click" "save" for=1 class=2 event=3 handler=4 %}') == {
        "for": 1,
        "class": 2,
        "event": 3,
        "handler": 4,
    }


def test_event_and_handler_may_be_variables() -> None:
    assert shown("{% on event name %}", event="keyup", name="load")["hx-trigger"] == "keyup"


def test_a_form_without_a_script_sends_its_values_in_the_action() -> None:
    form = shown('{% on "submit" "save" a=a %}', a="x&y")
    assert (form["method"], form["action"]) == ("post", "/live/event/save/?_args=%7B%22a%22%3A%22x%26y%22%7D")


def test_each_row_of_a_loop_gets_its_own_values() -> None:
    with live_view():
        html = compiled('{% for pk in pks %}<b {% on "click" "resend" pk %}>{% endfor %}').render({"pks": [1, 2]})
    keys = [attributes_of(f"{part}>")["data-live-key"] for part in html.split(">")[:-1]]
    assert keys == ["1", "2"]


def test_a_template_serves_one_instance_after_another() -> None:
    template = compiled('<b {% on "click" "load" %}>')
    indicators = []
    for instance in ("1", "2", "1"):
        with live_view(instance):
            indicators.append(attributes_of(template.render())["hx-indicator"][6:13])
    assert indicators == ["#live-1", "#live-2", "#live-1"]


def test_a_variable_handler_changes_from_row_to_row() -> None:
    with live_view():
        html = compiled('{% for name in names %}{% on "click" name %}|{% endfor %}').render({"names": ["load", "save"]})
    assert [part.count("event/load/") for part in html.split("|")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ('{% on "click" "laod" %}', "Rows offers no handler 'laod'. Did you mean 'load'?"),
        ('{% on "click" "load" yaer=1 %}', "load(): there is no parameter 'yaer'. Did you mean 'year'?"),
        ('{% on "click" "load" zzz=1 %}', "It knows: year, query, flag."),
        ('{% on "click" "load" 1 2 3 %}', "takes 2 values by position, 3 were given"),
        ('{% on "click" "load" 1 year=2 %}', "year is given twice, by position and by name"),
        ('{% on "click" "load" year=1 year=2 %}', "year= is given twice"),
        ('{% on "click" "load" year=1 2 %}', "2 stands after a named value"),
        ('{% on "click" "save" _x=1 %}', "_x is a name of the library's own"),
        ('{% on "click" "save" self=1 %}', "self is a name of the library's own"),
        ('{% on "click" "resend" pk="x" %}', "resend(): pk: expected a whole number"),
        ('{% on "click" "save" row=row.pkk %}', "row.pkk is not there"),
        ('{% on "click" "save" row=odd %}', "row is a builtins.object"),
        ('{% on "" "load" %}', "'' is no event specification"),
        ('{% on "click dealy:1s" "load" %}', "Did you mean 'delay'?"),
        ('{% on "click" %}', 'write {% on "click" "handler" name=value %}'),
    ],
)
def test_a_mistake_in_on_says_what_was_meant(tags: str, reason: str) -> None:
    assert reason in refused(tags, row=User(pk=1), odd=object())


@pytest.mark.parametrize("value", ["yaer=1", "zzz=1", "1 2 3"])
def test_an_error_of_on_ends_with_one_mark(value: str) -> None:
    message = refused(f'{{% on "click" "load" {value} %}}')
    assert (message[-2] in ".?", message[-1] in ".?") == (False, True)


def test_on_needs_a_live_view_around_it() -> None:
    with pytest.raises(TemplateSyntaxError, match=r"{% on %} stands outside of a live view"):
        compiled('{% on "click" "load" %}').render()


# {% loading %}


def test_loading_works_in_any_page() -> None:
    html = compiled('<b {% loading "show" "disable" display="flex" for="*:save" delay=200 min="0.5s" %}>').render()
    assert attributes_of(html) == {
        "data-live-show": "flex",
        "data-live-disable": "",
        "data-live-for": "*:save",
        "data-live-delay": "200",
        "data-live-min": "500",
    }


@pytest.mark.parametrize("options", ["key=row.pk", "key=row.pk delay=delay", "key=7 delay=delay"])
def test_loading_takes_constants_and_variables(options: str) -> None:
    found = shown(f'{{% loading class="a b" for="save" {options} %}}', row=User(pk=7), delay=0)
    assert found == {"data-live-class": "a b", "data-live-for": "save", "data-live-key": "7"}


def test_an_empty_key_is_no_key() -> None:
    assert shown('{% loading "show" key=row.pk %}', row=User()) == {"data-live-show": ""}


@pytest.mark.parametrize("tags", ['{% loading "show" dealy=1 %}', '{% loading "shwo" %}', '{% loading for="save" %}'])
def test_a_mistake_in_loading_is_found_when_the_template_is_compiled(tags: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compiled(tags)


def test_a_misspelt_option_is_found_even_beside_variables() -> None:
    with pytest.raises(TemplateSyntaxError, match=r"no option 'dealy'. Did you mean 'delay'"):
        compiled('{% loading "show" for=name dealy=200 %}')


# {% live_fields %}


def test_live_fields_hold_the_token_and_the_hidden_fields() -> None:
    with live_view():
        html = compiled("{% live_fields %}").render({"csrf_token": "T"})
    assert html == (
        '<input type="hidden" name="csrfmiddlewaretoken" value="T"><input type="hidden" name="_live" value="G&quot;1">'
    )


def test_live_fields_need_a_live_view_and_take_nothing() -> None:
    with pytest.raises(TemplateSyntaxError, match=r"{% live_fields %} stands outside of a live view"):
        compiled("{% live_fields %}").render()
    with pytest.raises(TemplateSyntaxError, match="takes no arguments"):
        compiled("{% live_fields 1 %}")


# Escaping

HOSTILE = "\"'><script>&"
EVERYWHERE = (
    '<b {% on "click" "save" a=v b=vs %} {% loading "show" class=v for=v key=v %}></b>'
    '<form {% on "submit" "save" a=v %}></form>'
)


@pytest.mark.parametrize("value", [HOSTILE, mark_safe(HOSTILE)])
@pytest.mark.parametrize("source", [EVERYWHERE, "{% autoescape off %}" + EVERYWHERE + "{% endautoescape %}"])
def test_values_stay_inside_of_their_attributes(source: str, value: str) -> None:
    with live_view():
        html = compiled(source).render({"v": value, "vs": [value]})
    (first, _, form, _, _) = html.split(">")
    trigger = attributes_of(first + ">")
    assert json.loads(trigger["data-live-args"]) == {"a": HOSTILE, "b": [HOSTILE]}
    assert {trigger[f"data-live-{name}"] for name in ("class", "for", "key")} == {HOSTILE}
    assert json.loads(attributes_of(form + ">")["data-live-args"]) == {"a": HOSTILE}


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert args_of('{% on "click" "save" a=text %}', text=text) == {"a": text}
