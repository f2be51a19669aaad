"""The panel cache: what is kept, for whom, and what is not."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import RequestFactory, override_settings
from django.utils import translation

from htmx_live.layouts import ConditionalPanel, Layout, Panel, ScriptItem, ScriptQueue, add_script, cache
from tests.layouts.conftest import Templates, Way, text

BACKENDS = {
    name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": f"layouts-{name}"}
    for name in ("default", "other")
}


@pytest.fixture(autouse=True)
def site(templates: Templates) -> Iterator[None]:
    templates({"page.html": "{% load layouts %}{% panel 'side' %}{% endpanel %}{% renderscripts %}"})
    with override_settings(CACHES=BACKENDS):
        yield
        for name in BACKENDS:
            caches[name].clear()


class Cached(Layout):
    template = "page.html"
    scripts = ScriptQueue()


class Counter:
    """A panel's view that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.calls += 1
        return HttpResponse(str(self.calls))


def a_request(path: str = "/", user: Any = None, session_key: str | None = None, **cookies: str) -> HttpRequest:
    request: Any = RequestFactory().get(path)
    request.user = user or AnonymousUser()
    request.session = type("Session", (), {"session_key": session_key})()
    request.COOKIES.update(cookies)
    return request  # type: ignore[no-any-return]


def show(way: Way, rule: Any, requests: list[HttpRequest], layout: type[Layout] = Cached) -> list[str]:
    panels = {"side": Panel(Counter(), cache=rule)}
    return [text(way.page(layout, request, panels=panels)) for request in requests]


ANN, BEN = User(pk=1), User(pk=2)


@pytest.mark.parametrize(
    ("rule", "requests", "shown"),
    [
        (cache.sitewide(60), [a_request("/a/", ANN), a_request("/b/", BEN)], ["1", "1"]),
        (
            cache.per_user(60),
            [a_request(user=ANN), a_request(user=BEN), a_request(), a_request("/b/", ANN)],
            ["1", "2", "3", "1"],
        ),
        (cache.per_path(60), [a_request("/a/"), a_request("/b/"), a_request("/a/?q=1", ANN)], ["1", "2", "1"]),
        (
            cache.per_user_per_path(60),
            [a_request("/a/", ANN), a_request("/b/", ANN), a_request("/a/", ANN), a_request("/a/", BEN)],
            ["1", "2", "1", "3"],
        ),
        (
            cache.per_session(60),
            [a_request(session_key="x"), a_request(session_key="y"), a_request(session_key="x")],
            ["1", "2", "1"],
        ),
        (cache.per_session(60), [a_request(), a_request()], ["1", "2"]),
        (
            cache.custom(lambda request: request.COOKIES.get("lang", ""), 60),
            [a_request(lang="de"), a_request(lang="en"), a_request(lang="de")],
            ["1", "2", "1"],
        ),
    ],
)
def test_a_rule_says_who_shares_an_entry(way: Way, rule: Any, requests: list[HttpRequest], shown: list[str]) -> None:
    assert show(way, rule, requests) == shown


def test_a_hit_replays_what_the_panel_queued(way: Way) -> None:
    def side(request: HttpRequest) -> HttpResponse:
        add_script(request, "/side.js", nonce=request.csp_nonce)  # type: ignore[attr-defined]
        return HttpResponse("side")

    pages = []
    for nonce in ("first", "second"):
        request: Any = a_request()
        request.csp_nonce = nonce
        pages.append(text(way.page(Cached, request, panels={"side": Panel(side, cache=cache.sitewide(60))})))
    assert pages == [f"side{ScriptItem(src='/side.js', nonce=nonce).__html__()}" for nonce in ("first", "second")]


def test_an_async_panel_is_cached(way: Way) -> None:
    calls: list[int] = []

    async def side(request: HttpRequest) -> str:
        calls.append(1)
        return "side"

    for _ in range(2):
        assert text(way.page(Cached, a_request(), panels={"side": Panel(side, cache=cache.per_user(60))})) == "side"
    assert calls == [1]


def test_two_layouts_with_a_panel_of_one_name_do_not_share(way: Way) -> None:
    class Other(Cached):
        pass

    view = Counter()
    panels = {"side": Panel(view, cache=cache.sitewide(60))}
    assert [text(way.page(layout, a_request(), panels=panels)) for layout in (Cached, Other, Cached)] == ["1", "2", "1"]


def test_two_sources_of_one_panel_do_not_share(way: Way) -> None:
    rule = cache.sitewide(60)
    sources = [
        Panel(lambda request: "a", cache=rule),
        Panel(Counter(), cache=rule),
        Panel([Counter(), "x"], cache=rule),
    ]
    assert [text(way.page(Cached, a_request(), panels={"side": panel})) for panel in sources] == ["a", "1", "1x"]


def test_each_language_has_its_own_entry(way: Way) -> None:
    panels = {"side": Panel(lambda request: translation.get_language() or "", cache=cache.sitewide(60))}
    for language in ("de", "fr", "de"):
        with translation.override(language):
            assert text(way.page(Cached, a_request(), panels=panels)) == language


def test_an_error_is_not_kept(way: Way) -> None:
    answers = iter([ValueError(), HttpResponse("fine")])

    def side(request: HttpRequest) -> HttpResponse:
        if isinstance(result := next(answers), Exception):
            raise result
        return result

    panels = {"side": Panel(side, cache=cache.sitewide(60))}
    assert [text(way.page(Cached, a_request(), panels=panels))[-4:] for _ in range(2)][1] == "fine"


def test_a_panel_with_a_csrf_token_is_not_kept(way: Way) -> None:
    def side(request: HttpRequest) -> HttpResponse:
        get_token(request)
        view.calls += 1
        return HttpResponse(str(view.calls))

    view = Counter()
    panels = {"side": Panel(side, cache=cache.sitewide(60))}
    assert [text(way.page(Cached, a_request(), panels=panels)) for _ in range(2)] == ["1", "2"]


def test_a_skipped_panel_touches_no_cache(way: Way) -> None:
    asked: list[HttpRequest] = []
    rule = cache.custom(lambda request: asked.append(request) or "", 60)
    text(way.page(Cached, a_request(), panels={"side": ConditionalPanel(Counter(), condition=False, cache=rule)}))
    assert asked == []


@override_settings(HTMX_LIVE={"LAYOUTS": {"CACHE_ENABLED": False}})
def test_the_cache_can_be_switched_off(way: Way) -> None:
    assert show(way, cache.sitewide(60), [a_request(), a_request()]) == ["1", "2"]


@pytest.mark.parametrize(
    ("rule_backend", "default", "used"),
    [(None, "default", "default"), (None, "other", "other"), ("other", "default", "other")],
)
def test_the_backend_is_the_rules_or_the_default(way: Way, rule_backend: str | None, default: str, used: str) -> None:
    with override_settings(HTMX_LIVE={"LAYOUTS": {"CACHE_BACKEND": default}}):
        rule = cache.sitewide(60, backend=rule_backend)
        assert show(way, rule, [a_request(), a_request()]) == ["1", "1"]
        caches[used].clear()
        assert show(way, rule, [a_request(), a_request()]) == ["1", "1"]
        assert {name: len(caches[name]._cache) for name in BACKENDS} == {name: int(name == used) for name in BACKENDS}


@override_settings(
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}
)
def test_a_cache_that_is_down_costs_the_cache_only(way: Way, caplog: Any) -> None:
    panels = {"side": Panel(Counter(), cache=cache.sitewide(60))}
    assert text(way.page(Cached, a_request(), panels=panels)) == "1"
    assert [record.getMessage() for record in caplog.records] == [
        "The panel cache 'default' could not be read",
        "The panel cache 'default' could not be written",
    ]
