"""What `{% on %}` and `{% loading %}` cost in a table, against plain HTML that gives the same output."""

from functools import partial
from timeit import repeat
from typing import Any

import pytest
from django.template import engines

from htmx_live.events.context import RenderContext, current_view
from htmx_live.events.handlers import background, collect_handlers, event_handler

ROWS = [{"pk": number, "name": f"Customer {number}", "total": number * 3} for number in range(200)]
LOOP = "{{% load htmx_live %}}{{% for row in rows %}}{row}{{% endfor %}}"
CELLS = "<td>{{ row.name }}</td><td>{{ row.total }}</td>"

ON = '{% on "click" "resend" pk=row.pk %}'
PLAIN_ON = (
    'hx-post="/live/event/resend/" hx-trigger="click" hx-swap="none" '
    'hx-indicator="this, #live-1 [data-live-for~=&#x27;resend&#x27;]" data-live-event="resend" '
    'data-live-args="{&quot;pk&quot;:{{ row.pk }}}" data-live-key="{{ row.pk }}"'
)
SHOW = '<i {% loading "show" for="resend" key=row.pk %}></i>'
PLAIN_SHOW = '<i data-live-show data-live-for="resend" data-live-key="{{ row.pk }}"></i>'


class Rows:
    @event_handler
    @background(key="pk")
    def resend(self, pk: int) -> None: ...


def best(template: Any) -> float:
    """Milliseconds of one render, the best of many."""
    return min(repeat(partial(template.render, {"rows": ROWS}), number=3, repeat=20)) / 3 * 1000


@pytest.mark.benchmark
@pytest.mark.parametrize("cells", ["", CELLS], ids=["buttons only", "with cells"])
def test_tags_cost_about_as_much_as_the_html_that_they_write(cells: str) -> None:
    rendering = RenderContext(
        instance="1",
        view_path="tests.Rows",
        handlers=collect_handlers(Rows),
        event_url="/live/event/{}/".format,
        hidden_fields={},
        view=None,
    )
    token = current_view.set(rendering)
    try:
        tags, plain = (
            engines["django"].from_string(LOOP.format(row=f"<tr>{cells}<td><b {trigger} {disable}>{show}</b></tr>"))
            for trigger, disable, show in (
                (ON, '{% loading "disable" %}', SHOW),
                (PLAIN_ON, "data-live-disable", PLAIN_SHOW),
            )
        )
        assert tags.render({"rows": ROWS}) == plain.render({"rows": ROWS})
        ours, theirs = best(tags), best(plain)
    finally:
        current_view.reset(token)
    print(f"\n200 rows: tags {ours:.2f} ms, plain HTML {theirs:.2f} ms, ratio {ours / theirs:.2f} (goal: at most 1.3)")
