"""Decorators and the mixin: what becomes of the view's response, and when the layout stays away."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.views import View
from django.views.generic import TemplateView

from htmx_live.layouts import Layout, LayoutMixin, Panel, async_layout, layout, panel_only
from tests.layouts.conftest import Templates, Way, answer, text


@pytest.fixture(autouse=True)
def site(templates: Templates) -> None:
    templates(
        {
            "page.html": "{% load layouts %}<h1>{{ title }}</h1>"
            "{% panel 'content' %}{% endpanel %}/{% panel 'side' %}{% endpanel %}",
            "main.html": "main {{ a }}",
        }
    )


@pytest.fixture
def page() -> type[Layout]:
    class Page(Layout):
        template = "page.html"
        layout_context_defaults = {"title": "T"}
        side = Panel("side")

    return Page


def test_the_views_html_stands_in_the_layout(way: Way, page: type[Layout], get: Any) -> None:
    assert text(way.page(page, get("/"))) == "<h1>T</h1>main/side"


def test_a_layout_can_be_named(way: Way, page: type[Layout], get: Any) -> None:
    assert text(way.page("tests.Page", get("/"))) == "<h1>T</h1>main/side"


def test_a_view_replaces_and_leaves_out_panels(way: Way, page: type[Layout], get: Any) -> None:
    assert text(way.page(page, get("/"), panels={"side": Panel("own")})) == "<h1>T</h1>main/own"
    assert text(way.page(page, get("/"), panels={"side": None})) == "<h1>T</h1>main/"


def test_a_template_response_is_rendered_into_the_layout(way: Way, page: type[Layout], get: Any) -> None:
    def view(request: HttpRequest) -> TemplateResponse:
        return TemplateResponse(request, "main.html", {"a": "<"})

    assert text(way.page(page, get("/"), view)) == "<h1>T</h1>main &lt;/side"


def test_render_with_layout_renders_a_template_as_the_content(way: Way, page: type[Layout], get: Any) -> None:
    response = way.render(get("/"), page, "main.html", {"a": 1}, panels={"side": Panel("own")})
    assert text(response) == "<h1>T</h1>main 1/own"


def test_the_views_headers_cookies_and_content_type_survive(way: Way, page: type[Layout], get: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("é", content_type="text/html; charset=latin-1", headers={"HX-Trigger": "saved"})
        response.headers["Cache-Control"] = "private"
        response.set_cookie("seen", "1")
        return response

    response = way.page(page, get("/"), view)
    assert response.content == "<h1>T</h1>é/side".encode("latin-1")
    assert response.headers["Content-Type"] == "text/html; charset=latin-1"
    assert (response.headers["HX-Trigger"], response.headers["Cache-Control"]) == ("saved", "private")
    assert response.cookies["seen"].value == "1"


def test_a_panels_headers_and_cookies_are_dropped(way: Way, page: type[Layout], get: Any) -> None:
    def side(request: HttpRequest) -> HttpResponse:
        response = HttpResponse("own", headers={"X-Panel": "1"})
        response.set_cookie("panel", "1")
        return response

    response = way.page(page, get("/"), panels={"side": Panel(side)})
    assert text(response) == "<h1>T</h1>main/own"
    assert "X-Panel" not in response.headers and not response.cookies


@pytest.mark.parametrize(
    "response",
    [
        HttpResponseRedirect("/login/"),
        HttpResponse("gone", status=404),
        HttpResponse("<<", status=422),
        StreamingHttpResponse(["a"]),
        FileResponse(b"x"),
        HttpResponse("a;b", content_type="text/csv"),
    ],
)
def test_other_answers_pass_through_untouched(way: Way, page: type[Layout], get: Any, response: Any) -> None:
    headers = dict(response.headers)
    assert way.page(page, get("/"), lambda request: response) is response
    assert dict(response.headers) == headers


@pytest.mark.parametrize("status", [422, 404])
def test_other_statuses_are_wrapped_where_that_is_asked_for(
    way: Way, page: type[Layout], get: Any, status: int
) -> None:
    response = way.page(page, get("/"), answer("form", status=status), statuses={200, 422, 404})
    assert (response.status_code, text(response)) == (status, "<h1>T</h1>form/side")


def test_an_error_handler_can_have_a_layout(way: Way, page: type[Layout], get: Any) -> None:
    def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
        return HttpResponse(f"no {exception}", status=404)

    response = way.wrap(page, not_found, statuses={404})(get("/"), exception=KeyError("x"))
    assert (response.status_code, text(response)) == (404, "<h1>T</h1>no 'x'/side")


def test_the_layout_context_is_there_before_the_view_and_grows_in_order(way: Way, get: Any) -> None:
    class Page(Layout):
        template = "page.html"
        layout_context_defaults = {"title": "default", "a": "default", "b": "default"}

        def get_layout_context(self, request: HttpRequest) -> dict[str, Any]:
            return {"a": "hook", "b": "hook"}

    seen: list[dict[str, Any]] = []

    def view(request: Any) -> HttpResponse:
        seen.append(dict(request.layout_context))
        request.layout_context["title"] = request.layout_context["b"]
        return HttpResponse("main")

    assert text(way.page(Page, get("/"), view)) == "<h1>hook</h1>main/"
    assert seen == [{"title": "default", "a": "hook", "b": "hook"}]


def test_the_wrapper_tells_its_layout(page: type[Layout]) -> None:
    assert layout(page)(answer()).layout_class is page  # type: ignore[attr-defined]
    assert layout("tests.Page")(answer()).layout_class == "tests.Page"  # type: ignore[attr-defined]


def test_each_decorator_refuses_the_other_kind_of_view(page: type[Layout]) -> None:
    async def aview(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(TypeError, match=r"@async_layout is for async views, and .*<lambda> is sync: use @layout\."):
        async_layout(page)(answer())
    with pytest.raises(TypeError, match=r"@layout is for sync views, and .*aview is async: use @async_layout\."):
        layout(page)(aview)


def test_panel_only_answers_403_outside_of_a_panel(way: Way, page: type[Layout], get: Any) -> None:
    async def aside(request: HttpRequest) -> HttpResponse:
        return HttpResponse("aside")

    only, aonly = panel_only(answer("own")), panel_only(aside)
    assert only(get("/")).status_code == 403
    assert async_to_sync(aonly)(get("/")).status_code == 403
    assert text(way.page(page, get("/"), panels={"side": Panel([only, aonly])})) == "<h1>T</h1>main/ownaside"


def test_panel_only_does_not_go_with_a_layout(page: type[Layout]) -> None:
    with pytest.raises(TypeError, match="@layout does not go with @panel_only"):
        layout(page)(panel_only(answer()))
    with pytest.raises(TypeError, match="@panel_only does not go with it"):
        panel_only(layout(page)(answer()))


class Sync(LayoutMixin, TemplateView):
    template_name = "main.html"
    extra_context = {"a": 1}


class Async(LayoutMixin, View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("main 1")


def dispatch(view: type[Any], request: HttpRequest, **initkwargs: Any) -> Any:
    function = view.as_view(**initkwargs)
    return (async_to_sync(function) if iscoroutinefunction(function) else function)(request)


@pytest.mark.parametrize("view", [Sync, Async])
def test_a_class_based_view_has_a_layout(view: type[Any], page: type[Layout], get: Any) -> None:
    assert text(dispatch(view, get("/"), layout_class=page)) == "<h1>T</h1>main 1/side"
    assert (
        text(dispatch(view, get("/"), layout_class="tests.Page", layout_panels={"side": None})) == "<h1>T</h1>main 1/"
    )


@pytest.mark.parametrize("view", [Sync, Async])
def test_a_class_based_view_is_bare_inside_a_panel(way: Way, view: type[Any], page: type[Layout], get: Any) -> None:
    side = Panel(view.as_view(layout_class=page))
    assert text(way.page(page, get("/"), panels={"side": side})) == "<h1>T</h1>main/main 1"


@pytest.mark.parametrize("view", [Sync, Async])
def test_a_class_based_view_without_a_layout_class_is_improperly_configured(view: type[Any], get: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="has no layout_class"):
        dispatch(view, get("/"))


@override_settings(HTMX_LIVE={"LAYOUTS": {"SERVER_TIMING": True}})
def test_server_timing_tells_when_each_panel_ran(way: Way, page: type[Layout], get: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("main", headers={"Server-Timing": "db;dur=1"})

    metrics = way.page(page, get("/"), view, panels={"more": Panel(answer())}).headers["Server-Timing"].split(", ")
    assert [metric.partition(";")[0] for metric in metrics] == ["db", "content", "side", "more"]


def test_without_debug_there_is_no_server_timing(way: Way, page: type[Layout]) -> None:
    assert "Server-Timing" not in way.page(page, RequestFactory().get("/")).headers
