"""The layout context: the view's own dict, and what panels may not do with it."""

import copy
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from htmx_live.layouts import Layout, Panel
from htmx_live.layouts.requests import freeze
from tests.layouts.conftest import Templates, Way, text

MUTATIONS = [
    lambda context: context.__setitem__("a", 1),
    lambda context: context.__delitem__("a"),
    lambda context: context.clear(),
    lambda context: context.pop("a"),
    lambda context: context.popitem(),
    lambda context: context.setdefault("b", 1),
    lambda context: context.update(a=1),
    lambda context: context.__ior__({"a": 1}),
]


@pytest.mark.parametrize("change", MUTATIONS)
def test_the_context_is_read_only_in_panels(change: Any) -> None:
    with pytest.raises(TypeError, match="read-only in panel views"):
        change(freeze({"a": 1}))


@pytest.mark.parametrize(
    "change",
    [
        lambda context: context["rows"].append(1),
        lambda context: context["rows"].sort(),
        lambda context: context["rows"][0].update(a=2),
        lambda context: context["nested"]["deep"].pop("x"),
        lambda context: context["pair"][0].append(1),
    ],
)
def test_what_is_inside_the_context_is_read_only_too(change: Any) -> None:
    frozen = freeze({"rows": [{"a": 1}], "nested": {"deep": {"x": 1}}, "pair": ([1],), "set": {1}})
    with pytest.raises(TypeError, match="read-only in panel views"):
        change(frozen)
    assert frozen == {"rows": [{"a": 1}], "nested": {"deep": {"x": 1}}, "pair": ([1],), "set": {1}}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_frozen_context_may_be_changed(copied: Any) -> None:
    mine = copied(freeze({"rows": [1]}))
    mine["a"] = 1
    assert mine == {"rows": [1], "a": 1}


def test_the_defaults_are_copied_deeply_for_each_request(way: Way, get: Any, templates: Templates) -> None:
    templates({"page.html": "{{ rows }}"})

    class Page(Layout):
        template = "page.html"
        layout_context_defaults = {"rows": [1]}

    def view(request: Any) -> HttpResponse:
        request.layout_context["rows"].append(2)
        return HttpResponse("main")

    assert [text(way.page(Page, get("/"), view)) for _ in range(2)] == ["[1, 2]", "[1, 2]"]
    assert Page.layout_context_defaults == {"rows": [1]}


def test_a_panel_that_writes_to_the_context_is_a_panel_error(way: Way, get: Any, templates: Templates) -> None:
    templates({"page.html": "{% load layouts %}{% panel 'side' %}{% endpanel %}"})

    def side(request: Any) -> str:
        request.layout_context["a"] = 1
        return "never"

    class Page(Layout):
        template = "page.html"

        def on_panel_error(self, request: HttpRequest, error: Any) -> str:
            return f"{error.panel_name} {type(error.exception).__name__}"

    assert text(way.page(Page, get("/"), panels={"side": Panel(side)})) == "side TypeError"
