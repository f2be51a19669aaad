"""What components cost, against an `{% include %}` of the same HTML; and a table with a button and spinner per row."""

import time
from functools import partial
from timeit import repeat
from typing import Any

import pytest
from django.template import engines

from htmx_live.components import load_component_classes
from htmx_live.views import component as component_module
from tests.components.showing import around, show

pytestmark = pytest.mark.benchmark

GIVEN = {
    "live_button": '"save" busy="Saving…"',
    "live_form": '"save"',
    "live_lazy_panel": '"/part/"',
    "live_stream": '"log"',
    "live_loading": '"save"',
    "live_overlay": '"save"',
    "live_spinner": 'for="save"',
    "live_toasts": "",
    "live_connection": "",
}
ROWS = [{"pk": number, "name": f"Customer {number}", "total": number * 3} for number in range(200)]
TABLE = "{{% load htmx_live %}}{{% for row in rows %}}<tr><td>{{{{ row.name }}}}</td><td>{{{{ row.total }}}}</td>{}</tr>{{% endfor %}}"  # noqa: E501
TAGS = (
    '<td><button {% on "click" "resend" pk=row.pk %} {% loading "disable" %}>Send'
    '{% live_spinner for="resend" key=row.pk %}</button></td>'
)
PLAIN = (
    '<td><button hx-post="/live/event/resend/" hx-trigger="click" hx-swap="none" '
    'hx-indicator="this, #live-1 [data-live-for~=&#x27;resend&#x27;]" data-live-event="resend" '
    'data-live-args="{&quot;pk&quot;:{{ row.pk }}}" data-live-key="{{ row.pk }}" data-live-disable>Send'
    '<span aria-hidden="true" data-live-show="" data-live-for="resend" data-live-key="{{ row.pk }}" '
    'class="live-spinner"></span></button></td>'
)
COMPONENTS = (
    '<td>{% component "live_button" "resend" args:pk=row.pk %}Send{% endcomponent %}'
    '{% component "live_spinner" for="resend" key=row.pk / %}</td>'
)


def best(template: Any, context: dict[str, Any], number: int = 20) -> float:
    """Microseconds of one render, the best of many."""
    return min(repeat(partial(template.render, context), number=number, repeat=15)) / number * 1e6


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_component_against_an_include(name: str, settings: Any, tmp_path: Any) -> None:
    tag = f'{{% component "{name}" {GIVEN[name]} / %}}'
    with around():
        (tmp_path / "same.html").write_text(show(tag))
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
        ours = best(engines["django"].from_string("{% load htmx_live %}" + tag), {})
        include = best(engines["django"].from_string('{% include "same.html" %}'), {})
        component_module._loaded.clear()
        load_component_classes()[name]._component_media.reset()  # type: ignore[attr-defined]
        began = time.perf_counter()
        show(tag)
        cold = (time.perf_counter() - began) * 1e6
    print(f"\n{name}: {ours:.0f} us, include {include:.0f} us, ratio {ours / include:.0f}; first render {cold:.0f} us")


def test_a_table_of_200_rows_with_a_button_and_a_spinner_each() -> None:
    with around():
        tags, plain, components = (engines["django"].from_string(TABLE.format(x)) for x in (TAGS, PLAIN, COMPONENTS))
        context = {"rows": ROWS}
        assert tags.render(context) == plain.render(context)
        ours, theirs = best(tags, context, 3) / 1000, best(plain, context, 3) / 1000
        whole = min(repeat(partial(components.render, context), number=1, repeat=3)) * 1000
    print(f"\n200 rows: tags {ours:.2f} ms, plain HTML {theirs:.2f} ms, ratio {ours / theirs:.2f} (goal: at most 1.3)")
    print(f"200 rows: components {whole:.0f} ms, {whole / theirs:.0f} times plain HTML: what stands in a loop is a tag")
