"""Panels: where their HTML comes from, and what their views see of the request."""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.urls import NoReverseMatch
from django.views import View

from htmx_live.layouts import ConditionalPanel, Layout, Panel, PanelRenderError, async_layout, layout
from htmx_live.layouts.conf import PanelStatusError
from tests.layouts.conftest import Templates, Way, answer, text


def item(request: HttpRequest, pk: int, size: str = "small") -> HttpResponse:
    return HttpResponse(f"item {pk!r} {size}")


strict = override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": True}})


@pytest.fixture(autouse=True)
def site(templates: Templates) -> Any:
    templates({"page.html": "{% load layouts %}{% panel 'side' %}empty{% endpanel %}", "side.html": "side {{ a }}"})
    with override_settings(ROOT_URLCONF="tests.layouts.site"), strict:
        yield


def shown(way: Way, panel: Panel | None, request: HttpRequest | None = None, view: Any = None) -> str:
    """What the page shows in the panel's place."""

    class Page(Layout):
        template = "page.html"

    return text(way.page(Page, request or RequestFactory().get("/"), view, panels={"side": panel}))


class Hello(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("from a class")


class AsyncCallable:
    async def __call__(self, request: HttpRequest, **context: Any) -> str:
        await asyncio.sleep(0)
        return f"awaited {context}"


async def coroutine_view(request: HttpRequest, **context: Any) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("async")


def hidden_coroutine(request: HttpRequest) -> Any:
    return coroutine_view(request)


@pytest.mark.parametrize(
    ("panel", "html"),
    [
        (Panel("shop:home"), "home"),
        (Panel(url_name="plain"), "plain home"),
        (Panel("<b>text</b>"), "<b>text</b>"),
        (Panel(literal="a: b"), "a: b"),
        (Panel(lambda request, **context: f"{request.method} {context}", context={"a": 1}), "GET {'a': 1}"),
        (Panel(["shop:home", "<hr>", lambda request: "end"], join="|"), "home|<hr>|end"),
        (Panel(["shop:home", coroutine_view], join="|"), "home|async"),
        (Panel([]), "empty"),
        (Panel(None), "empty"),
        (Panel(""), "empty"),
        (Panel("shop:item", context={"pk": 9}), "item 9 small"),
        (Panel("shop:item", context={"pk": 9, "size": "large"}), "item 9 large"),
        (Panel("shop:pinned", context={"pk": 99}), "item 99 small"),
        (Panel(template_name="side.html", context={"a": "&"}), "side &amp;"),
        (Panel(partial(item, pk=3)), "item 3 small"),
        (None, "empty"),
    ],
)
def test_each_kind_of_source_gives_its_html(way: Way, panel: Panel | None, html: str) -> None:
    assert shown(way, panel) == html


@pytest.mark.parametrize("view", [Hello, Hello.as_view(), "shop:hello"])
def test_a_class_based_view_works_as_a_panel(way: Way, view: Any) -> None:
    assert shown(way, Panel(view)) == "from a class"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_template_response_works_as_a_panel(way: Way, is_async: bool) -> None:
    def view(request: HttpRequest) -> TemplateResponse:
        return TemplateResponse(request, "side.html", {"a": "<"})

    async def aview(request: HttpRequest) -> TemplateResponse:
        return view(request)

    assert shown(way, Panel(aview if is_async else view)) == "side &lt;"


@pytest.mark.parametrize(
    ("source", "html"),
    [
        (coroutine_view, "async"),
        (AsyncCallable(), "awaited {}"),
        (hidden_coroutine, "async"),
        (partial(coroutine_view), "async"),
    ],
)
def test_an_async_panel_works_in_a_sync_and_in_an_async_page(way: Way, source: Any, html: str) -> None:
    assert shown(way, Panel(source)) == html


def test_an_unknown_url_name_propagates(way: Way) -> None:
    with pytest.raises(NoReverseMatch):
        shown(way, Panel("shop:nowhere"))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (HttpResponse("nope", status=404), "answered 404"),
        (HttpResponse("nope", status=500), "answered 500"),
        (HttpResponseRedirect("/login/"), "answered 302 to /login/"),
    ],
)
def test_a_panel_that_answers_an_error_or_redirects_is_a_panel_error(
    way: Way, result: HttpResponse, message: str
) -> None:
    with pytest.raises(PanelRenderError) as caught:
        shown(way, Panel(lambda request: result))
    assert isinstance(caught.value.panel_error.exception, PanelStatusError)
    assert message in str(caught.value.panel_error.exception)


@pytest.mark.parametrize("result", [None, 7, {"a": 1}, StreamingHttpResponse(["x"])])
def test_a_result_that_is_neither_a_response_nor_text_is_a_type_error(way: Way, result: object) -> None:
    with pytest.raises(PanelRenderError) as caught:
        shown(way, Panel(lambda request: result))
    assert isinstance(caught.value.panel_error.exception, TypeError)


@pytest.mark.parametrize(
    "options",
    [
        {"source": "a", "literal": "b"},
        {"url_name": "a", "template_name": "b"},
        {"source": 7},
        {"source": ["a", 7]},
        {"source": "a", "lazy": "sometimes"},
        {"source": "a", "lazy": True, "stream": True},
        {"source": "a", "timeout": 0},
        {"source": "a", "carry": "key"},
    ],
)
def test_a_panel_that_makes_no_sense_is_refused_when_it_is_declared(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Panel(**options)


@pytest.mark.parametrize(
    ("condition", "html"),
    [
        (True, "shown"),
        (False, "empty"),
        (lambda context: context["flag"] == "yes", "shown"),
        (lambda context: context["missing"], "empty"),
        ("flag", "shown"),
        ("nested.deep", "shown"),
        ("nested.missing", "empty"),
        ("nowhere", "empty"),
    ],
)
def test_a_conditional_panel_is_empty_unless_its_condition_holds(way: Way, condition: Any, html: str) -> None:
    def view(request: Any) -> HttpResponse:
        request.layout_context.update(flag="yes", nested={"deep": 1})
        return HttpResponse("main")

    assert shown(way, ConditionalPanel("shown", condition=condition), view=view) == html


def test_a_conditional_panel_renders_its_template(way: Way) -> None:
    def view(request: Any) -> HttpResponse:
        request.layout_context["a"] = "of the page"
        return HttpResponse("main")

    panel = ConditionalPanel(template_name="side.html", condition="a")
    assert shown(way, panel, view=view) == "side of the page"


def test_a_panel_sees_a_get_request_with_the_pages_user_and_session(way: Way) -> None:
    seen: list[Any] = []
    request: Any = RequestFactory().post("/page/?q=1", {"a": "1"})
    request.user, request.session = object(), object()
    shown(way, Panel(lambda panel: seen.append(panel) or "x"), request)
    (panel,) = seen
    assert (panel.method, panel.META["REQUEST_METHOD"], dict(panel.POST), dict(panel.FILES), panel.body) == (
        "GET",
        "GET",
        {},
        {},
        b"",
    )
    assert (panel.layout_role, panel.is_layout_partial, panel.GET["q"], panel.path) == ("panel", False, "1", "/page/")
    assert (panel.user, panel.session) == (request.user, request.session)
    assert (request.method, request.POST["a"], request.layout_role) == ("POST", "1", "main")


def test_a_page_decorated_with_a_layout_is_bare_inside_a_panel(way: Way) -> None:
    class Inner(Layout):
        template = "page.html"

    async def ainner(request: HttpRequest) -> HttpResponse:
        return HttpResponse("inner")

    assert shown(way, Panel(layout(Inner)(answer("inner")))) == "inner"
    assert shown(way, Panel(async_layout(Inner)(ainner))) == "inner"


def test_a_json_answer_of_a_page_is_left_alone(way: Way) -> None:
    assert shown(way, Panel("x"), view=lambda request: JsonResponse({"a": 1})) == '{"a": 1}'


def test_the_fallback_shows_outside_of_a_layout() -> None:
    assert render_to_string("page.html") == "empty"
