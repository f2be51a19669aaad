"""Partial answers and smart routing: who gets the view's own HTML, and where htmx puts it."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.views.generic import TemplateView

from htmx_live.layouts import Layout, LayoutMixin
from htmx_live.layouts.partials import load_detector
from tests.layouts.conftest import Templates, Way, answer, text

DETECTION = "htmx_live.layouts.partials"


def detecting(*names: str, **more: Any) -> Any:
    paths = [name if "." in name else f"{DETECTION}.{name}" for name in names]
    return override_settings(HTMX_LIVE={"LAYOUTS": {"PARTIAL_DETECTORS": paths, **more}})


smart = detecting("htmx_detector", HTMX_SMART_ROUTING=True)


@pytest.fixture(autouse=True)
def site(templates: Templates) -> None:
    templates({"page.html": "{% load layouts %}[{% panel 'content' %}{% endpanel %}]", "main.html": "main"})


class Routed(Layout):
    template = "page.html"


class View(LayoutMixin, TemplateView):
    layout_class = Routed
    template_name = "main.html"


def a_request(path: str = "/", cookie: str = "", **headers: str) -> HttpRequest:
    named = {"HX-" + name.replace("_", "-"): value for name, value in headers.items()}
    request = RequestFactory().get(path, headers=named)
    request.COOKIES.update({"dj_layout_current": cookie} if cookie else {})
    return request


def failing(request: HttpRequest) -> bool:
    raise LookupError


@pytest.mark.parametrize(
    ("detector", "request_", "html"),
    [
        ("never_detector", a_request(Request="true"), "[main]"),
        ("htmx_detector", a_request(Request="true"), "main"),
        ("htmx_detector", a_request(), "[main]"),
        ("htmx_detector", a_request(Request="true", Request_Type="full"), "[main]"),
        ("htmx_detector", a_request(Request="true", Request_Type="partial"), "main"),
        ("htmx_detector", a_request(Request="true", History_Restore_Request="true"), "[main]"),
        ("query_param_detector", a_request("/?_partial=1"), "main"),
        ("query_param_detector", a_request("/?_partial=0"), "[main]"),
    ],
)
def test_each_detector_knows_its_requests(way: Way, detector: str, request_: HttpRequest, html: str) -> None:
    with detecting(detector):
        assert text(way.page(Routed, request_)) == html


def test_without_detectors_every_page_is_whole(way: Way) -> None:
    response = way.page(Routed, a_request(Request="true"))
    assert (text(response), "Vary" in response.headers) == ("[main]", False)


@detecting("htmx_detector")
def test_the_view_knows_whether_its_answer_is_partial(way: Way) -> None:
    seen: list[bool] = []

    def view(request: Any) -> HttpResponse:
        seen.append(request.is_layout_partial)
        return HttpResponse("main")

    for request in (a_request(Request="true"), a_request()):
        way.page(Routed, request, view)
    assert seen == [True, False]


@detecting("htmx_detector")
@pytest.mark.parametrize("headers", [{"Request": "true"}, {}])
def test_answers_vary_on_what_the_detectors_read(way: Way, headers: dict[str, str]) -> None:
    response = way.page(Routed, a_request(**headers))
    assert response.headers["Vary"] == "HX-Request, HX-Request-Type, HX-History-Restore-Request"


@detecting("query_param_detector", "htmx_detector")
def test_the_first_detector_that_says_so_wins(way: Way) -> None:
    assert text(way.page(Routed, a_request("/?_partial=1"))) == "main"
    assert text(way.page(Routed, a_request(Request="true"))) == "main"


@detecting("htmx_detector")
def test_render_with_layout_is_always_a_full_page(way: Way) -> None:
    assert text(way.render(a_request(Request="true"), Routed, "main.html")) == "[main]"


@detecting("tests.layouts.test_partials.failing", "htmx_detector")
def test_a_failing_detector_is_logged_and_counts_as_no(way: Way, caplog: Any) -> None:
    assert text(way.page(Routed, a_request())) == "[main]"
    assert [record.getMessage() for record in caplog.records] == [
        "The detector tests.layouts.test_partials.failing failed and counts as 'no'"
    ]


@detecting("tests.layouts.test_partials.failing", DETECTOR_RAISE_EXCEPTIONS=True)
def test_a_failing_detector_raises_where_that_is_asked_for(way: Way) -> None:
    with pytest.raises(LookupError):
        way.page(Routed, a_request())


@detecting("nowhere.at_all")
def test_a_detector_that_cannot_be_imported_is_improperly_configured(way: Way) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"PARTIAL_DETECTORS.*nowhere\.at_all"):
        way.page(Routed, a_request())


def test_the_error_for_a_detector_that_has_moved_names_the_new_path() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"has moved, use 'htmx_live\.layouts\.partials\.htmx_detector'\."):
        load_detector("htmx_live.layouts.detection.htmx_detector")


def routed(response: Any) -> tuple[str, str | None, str | None, str | None]:
    """The body, where it goes, how, and the layout that the browser is told to remember."""
    cookie = response.cookies.get("dj_layout_current")
    headers = response.headers
    return text(response), headers.get("HX-Retarget"), headers.get("HX-Reswap"), cookie.value if cookie else None


SAME = ("main", "#panel-content", None, None)
OTHER = ("[main]", "body", "outerHTML", "tests.Routed")

ROUTES = [
    (a_request(Request="true", cookie="tests.Routed"), SAME),
    (a_request(Request="true", cookie="tests.Other"), OTHER),
    (a_request(Request="true"), OTHER),
    (a_request(Request="true", Request_Type="full", Source="a", Target="body", cookie="tests.Routed"), SAME),
    (a_request(Request="true", Source="a#x", Target="a#x", cookie="tests.Routed"), SAME),
    (a_request(Request="true", Source="a", Target="main#panel-content", cookie="tests.Other"), OTHER),
    # A target of its own: htmx 4, then htmx 2.
    (a_request(Request="true", Source="a", Target="div#box", cookie="tests.Other"), ("main", None, None, None)),
    (a_request(Request="true", Trigger="link", Target="box", cookie="tests.Routed"), ("main", None, None, None)),
    (a_request(Request="true", Trigger="link", Target="link", cookie="tests.Routed"), SAME),
    (a_request(), ("[main]", None, None, "tests.Routed")),
    (a_request(cookie="tests.Routed"), ("[main]", None, None, None)),
    (a_request(Request="true", History_Restore_Request="true", cookie="tests.Routed"), ("[main]", None, None, None)),
]


@smart
@pytest.mark.parametrize(("request_", "expected"), ROUTES)
def test_smart_routing_sends_the_answer_where_it_belongs(way: Way, request_: HttpRequest, expected: Any) -> None:
    assert routed(way.page(Routed, request_)) == expected


@smart
@pytest.mark.parametrize(("request_", "expected"), ROUTES)
def test_the_mixin_has_smart_routing_too(request_: HttpRequest, expected: Any) -> None:
    view = View.as_view()
    assert routed((async_to_sync(view) if iscoroutinefunction(view) else view)(request_)) == expected


@smart
@pytest.mark.parametrize("where", ["middleware", "view"])
def test_a_full_page_can_be_forced(way: Way, where: str) -> None:
    request: Any = a_request(Request="true", cookie="tests.Routed")
    if where == "middleware":
        request.layouts_force_full = True

    def view(request: Any) -> HttpResponse:
        request.layouts_force_full = True
        return HttpResponse("main")

    assert routed(way.page(Routed, request, view)) == ("[main]", "body", "outerHTML", None)


@smart
def test_the_views_own_target_is_kept(way: Way) -> None:
    view = answer("main", headers={"HX-Retarget": "#mine"})
    assert routed(way.page(Routed, a_request(Request="true", cookie="tests.Routed"), view))[1] == "#mine"


@smart
def test_smart_answers_vary_on_the_target_and_the_cookie(way: Way) -> None:
    response = way.page(Routed, a_request(Request="true", cookie="tests.Routed"))
    assert response.headers["Vary"] == "HX-Request, HX-Request-Type, HX-History-Restore-Request, HX-Target, Cookie"


@detecting(
    "htmx_detector",
    HTMX_SMART_ROUTING=True,
    HTMX_CONTENT_TARGET="#c",
    HTMX_COOKIE_NAME="lay",
    HTMX_COOKIE_DOMAIN="example.org",
)
def test_the_names_of_smart_routing_are_settings(way: Way) -> None:
    response = way.page(Routed, a_request())
    assert (response.cookies["lay"].value, response.cookies["lay"]["domain"]) == ("tests.Routed", "example.org")
    request = a_request(Request="true")
    request.COOKIES["lay"] = "tests.Routed"
    assert way.page(Routed, request).headers["HX-Retarget"] == "#c"
