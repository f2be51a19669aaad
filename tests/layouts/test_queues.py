"""Render queues: what the tags look like, who comes first, and the template tags."""

import asyncio
import threading
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings

from htmx_live.layouts import (
    Layout,
    Panel,
    RenderQueue,
    ScriptItem,
    ScriptQueue,
    StyleItem,
    StyleQueue,
    add_script,
    add_style,
    add_to_queue,
)
from tests.layouts.conftest import Templates, Way, text


class Queues(Layout):
    template = "queues.html"
    scripts = ScriptQueue()
    styles = StyleQueue()
    crumbs = RenderQueue("crumbs.html")
    plain = RenderQueue()


@pytest.fixture(autouse=True)
def site(templates: Templates) -> None:
    templates(
        {
            "queues.html": "{% load layouts %}{% renderstyles %}|{% renderscripts %}|"
            "{% renderqueue 'crumbs' %}|{% renderqueue 'plain' %}",
            "crumbs.html": "{% for item in items %}[{{ item|safe }}]{% endfor %}",
        }
    )


def request_with_queues() -> Any:
    request: Any = RequestFactory().get("/")
    request.layout_queues = {name: queue.create_empty() for name, queue in Queues.layout_queues.items()}
    return request


@pytest.mark.parametrize(
    ("item", "html"),
    [
        (ScriptItem(src="/a.js"), '<script src="/a.js"></script>'),
        (ScriptItem(src="/a.js", is_async=True), '<script async src="/a.js"></script>'),
        (ScriptItem(src="/a.js", is_deferred=True), '<script defer src="/a.js"></script>'),
        (ScriptItem(src="/a.js", type="module"), '<script type="module" src="/a.js"></script>'),
        (ScriptItem(src='/a"<.js'), '<script src="/a&quot;&lt;.js"></script>'),
        (
            ScriptItem(src="/a.js", integrity="sha256-x", crossorigin="anonymous", nonce="n"),
            '<script src="/a.js" integrity="sha256-x" crossorigin="anonymous" nonce="n"></script>',
        ),
        (ScriptItem(inline="a < b"), "<script>a < b</script>"),
        (ScriptItem(inline='"</ScRipt>"', nonce="n"), '<script nonce="n">"<\\/ScRipt>"</script>'),
        (StyleItem(href="/a.css"), '<link rel="stylesheet" href="/a.css">'),
        (StyleItem(href="/a.css", media="print"), '<link rel="stylesheet" href="/a.css" media="print">'),
        (StyleItem(href="/a.css", nonce="n"), '<link rel="stylesheet" href="/a.css" nonce="n">'),
        (
            StyleItem(href="/a.css", integrity="sha256-x", crossorigin="anonymous"),
            '<link rel="stylesheet" href="/a.css" integrity="sha256-x" crossorigin="anonymous">',
        ),
        (StyleItem(inline="a > b {}", media="print"), '<style media="print">a > b {}</style>'),
        (StyleItem(inline="</style>"), "<style><\\/style></style>"),
    ],
)
def test_an_items_attributes_are_written_and_escaped(item: Any, html: str) -> None:
    assert item.__html__() == html


@pytest.mark.parametrize("options", [{}, {"src": "/a.js", "inline": "x"}])
def test_a_script_has_an_address_or_a_text(options: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="A script has either src or inline"):
        add_script(request_with_queues(), **options)


def test_equal_items_are_queued_once_in_order() -> None:
    request = request_with_queues()
    for src in ("/b.js", "/a.js", "/b.js"):
        add_script(request, src)
    add_style(request, inline="x")
    assert [item.src for item in request.layout_queues["scripts"]] == ["/b.js", "/a.js"]
    assert list(request.layout_queues["styles"]) == [StyleItem(inline="x")]


def test_an_unknown_queue_is_a_key_error_that_lists_what_is_there() -> None:
    with pytest.raises(KeyError, match=r"no queue 'crumb'. It has: crumbs, plain, scripts, styles"):
        add_to_queue(request_with_queues(), "crumb", "x")


def test_a_request_without_queues_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no layout_queues"):
        add_script(RequestFactory().get("/"), "/a.js")


def test_a_queue_refuses_items_of_another_kind() -> None:
    with pytest.raises(TypeError, match=r"A ScriptQueue holds ScriptItem, not str: use add_script\(request, src\)"):
        add_to_queue(request_with_queues(), "scripts", "<script>")
    with pytest.raises(TypeError, match="A RenderQueue holds str, not int"):
        add_to_queue(request_with_queues(), "plain", 7)


def test_an_empty_queue_renders_nothing(way: Way, get: Any) -> None:
    assert text(way.page(Queues, get("/"))) == "|||"


def test_every_queue_is_rendered_where_its_tag_stands(way: Way, get: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        add_script(request, "/a.js")
        add_style(request, "/a.css")
        add_to_queue(request, "crumbs", " <b>1</b> ")
        add_to_queue(request, "plain", "<i>2</i>")
        return HttpResponse()

    expected = '<link rel="stylesheet" href="/a.css">|<script src="/a.js"></script>|[<b>1</b>]|<i>2</i>'
    assert text(way.page(Queues, get("/"), view)) == expected


def scripts_in(html: str) -> list[str]:
    return [part.partition('"')[0] for part in html.split('src="')[1:]]


def test_the_views_items_come_before_the_panels_in_definition_order(way: Way, get: Any) -> None:
    def queues(*sources: str) -> Any:
        def view(request: HttpRequest) -> HttpResponse:
            for src in sources:
                add_script(request, src)
            return HttpResponse()

        return view

    panels = {"first": Panel(queues("1", "shared")), "second": Panel([queues("2"), queues("shared", "3")])}
    html = text(way.page(Queues, get("/"), queues("0"), panels=panels))
    assert scripts_in(html) == ["0", "1", "shared", "2", "3"]


@pytest.mark.parametrize("last", ["first", "second"])
def test_what_finishes_first_does_not_change_the_order(last: str, get: Any) -> None:
    """Both orders of finishing are forced."""
    done = threading.Event()

    def view(name: str) -> Any:
        def panel(request: HttpRequest) -> HttpResponse:
            if name == last:
                assert done.wait(10)
            add_script(request, name)
            done.set()
            return HttpResponse(name)

        return panel

    panels = {"first": Panel(view("first")), "second": Panel(view("second"))}
    html = text(Way(is_async=True).page(Queues, get("/"), panels=panels))
    assert scripts_in(html) == ["first", "second"]


def test_async_panels_queue_too(get: Any) -> None:
    async def panel(request: HttpRequest) -> str:
        await asyncio.sleep(0)
        add_script(request, "/async.js")
        return ""

    assert scripts_in(text(Way(is_async=True).page(Queues, get("/"), panels={"a": Panel(panel)}))) == ["/async.js"]


@pytest.mark.parametrize(
    ("source", "queue", "items"),
    [
        ("{% addscript '/a.js' %}", "scripts", [ScriptItem(src="/a.js")]),
        ("{% addscript src %}", "scripts", [ScriptItem(src="/v.js")]),
        ("{% addscript '/a.js?b=1' async %}", "scripts", [ScriptItem(src="/a.js?b=1", is_async=True)]),
        ("{% addscript '/a.js' defer nonce=n %}", "scripts", [ScriptItem(src="/a.js", is_deferred=True, nonce="N")]),
        (
            "{% addscript '/a.js' type='module' is_async=True %}",
            "scripts",
            [ScriptItem(src="/a.js", type="module", is_async=True)],
        ),
        ("{% addscript %} go({{ 1 }}); {% endaddscript %}", "scripts", [ScriptItem(inline="go(1);")]),
        ("{% addscript nonce=n %}x{% endaddscript %}", "scripts", [ScriptItem(inline="x", nonce="N")]),
        ("{% addstyle '/a.css' media='print' %}", "styles", [StyleItem(href="/a.css", media="print")]),
        ("{% addstyle %}b {}{% endaddstyle %}", "styles", [StyleItem(inline="b {}")]),
        ("{% enqueue 'crumbs' %} <b>{{ lt }}</b> {% endenqueue %}", "crumbs", ["<b>&lt;</b>"]),
    ],
)
def test_the_tags_queue_and_leave_no_trace(source: str, queue: str, items: list[Any]) -> None:
    request = request_with_queues()
    context = Context({"request": request, "src": "/v.js", "n": "N", "lt": "<"})
    assert Template("{% load layouts %}" + source).render(context) == ""
    assert list(request.layout_queues[queue]) == items


@pytest.mark.parametrize(
    "source",
    [
        "{% addscript '/a.js' dealy=1 %}",
        "{% addstyle '/a.css' async %}",
        "{% panel %}{% endpanel %}",
        "{% enqueue a b %}{% endenqueue %}",
    ],
)
def test_an_unknown_option_of_a_tag_is_a_syntax_error(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        Template("{% load layouts %}" + source)


def test_render_tags_outside_of_a_layout_render_nothing_but_an_unknown_queue_is_an_error() -> None:
    context = Context({"request": RequestFactory().get("/")})
    assert Template("{% load layouts %}{% renderscripts %}{% renderstyles %}").render(context) == ""
    with pytest.raises(KeyError, match=r"no queue 'crumbs'. It has: none"):
        Template("{% load layouts %}{% renderqueue 'crumbs' %}").render(context)


@override_settings(HTMX_LIVE={"LAYOUTS": {"PARTIAL_DETECTORS": ["htmx_live.layouts.partials.htmx_detector"]}})
def test_a_partial_answer_brings_its_styles_and_scripts(way: Way, get: Any) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        add_script(request, "/a.js")
        add_style(request, "/a.css")
        return HttpResponse("<p>main</p>")

    html = text(way.page(Queues, get("/", headers={"HX-Request": "true"}), view))
    assert html == '<link rel="stylesheet" href="/a.css">\n<p>main</p>\n<script src="/a.js"></script>'
