"""CSRF: every route that changes something asks for the token, the script's and a form's own."""

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template.loaders.app_directories import Loader as AppLoader
from django.template.loaders.filesystem import Loader as FileLoader
from django.test import AsyncClient
from django.urls import get_resolver

from htmx_live.testing.environment import LiveEnvironment
from tests.threats.visitor import Visitor, somebody, written

pytestmark = pytest.mark.django_db

ROUTES = {
    "event": "/live/event/add/",
    "sync": "/live/sync/",
    "stream": "/live/stream/",
    "notices": "/live/notices/",
    "progress_cancel": "/live/progress/grant/cancel/",
    "progress_retry": "/live/progress/grant/retry/",
}
READ_ONLY = {"panel", "progress", "health"}


def test_these_tests_know_every_route():
    names = {pattern.name for pattern in get_resolver("htmx_live.urls").url_patterns}
    assert names == ROUTES.keys() | READ_ONLY


def test_what_is_only_read_answers_no_post():
    token = Visitor().open().csrf
    for route in ("/live/progress/grant/", "/live/health/"):
        assert Visitor().http.post(route, headers={"X-CSRFToken": token}).status_code in (403, 404, 405)


@pytest.mark.parametrize("token", [None, "", "x", "a" * 32, "a" * 64, "é"])
def test_a_post_without_the_token_is_403(token):
    page = Visitor().open()
    before = written(page)
    headers = {"X-Live": page.live, "X-Live-Page": page.page} | ({} if token is None else {"X-CSRFToken": token})
    answers = [page.visitor.http.post(route, headers=headers).status_code for route in ROUTES.values()]
    assert answers == [403] * len(ROUTES)
    assert written(page) == before


def test_a_form_without_the_token_is_403():
    page = Visitor().open("/guestbook/")
    before = written(page)
    form = {"_live": page.live, "text": "x"}
    answer = page.event("write", form=form, X_Live=None, X_Live_Page=None, X_CSRFToken=None)
    assert (answer.status_code, written(page)) == (403, before)


def test_anothers_token_is_403():
    page, other = Visitor().open(), Visitor().open()
    assert page.event("add", X_CSRFToken=other.csrf).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example"])
def test_a_post_from_another_origin_is_403(origin):
    page = Visitor().open()
    before = written(page)
    assert page.event("add", Origin=origin).status_code == 403
    assert page.sync(Origin=origin).status_code == 403
    assert written(page) == before


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_other_methods_do_nothing(method):
    page = Visitor().open()
    before = written(page)
    headers = {"X-Live": page.live, "X-Live-Page": page.page, "X-CSRFToken": page.csrf}
    for name in ("event", "sync"):
        assert getattr(page.visitor.http, method)(ROUTES[name], headers=headers).status_code == 405
    assert written(page) == before


def test_no_answer_lets_another_origin_read_it():
    page = Visitor().open()
    headers = {"Origin": "http://testserver"}
    answers = [
        page.event("add", **headers),
        page.sync(**headers),
        page.visitor.http.get("/live/stream/", headers=headers),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_pages_and_answers_stay_out_of_shared_caches():
    visitor = Visitor()
    page = visitor.open()
    assert visitor.http.get("/counter/")["Cache-Control"] == "private"
    assert "no-store" in page.event("add")["Cache-Control"]
    assert "no-store" in page.sync()["Cache-Control"]


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("is_logged_in", [False, True])
def test_every_token_that_a_template_writes_is_the_pages(settings: Any, is_logged_in: bool, is_cached: bool) -> None:
    settings.TEMPLATES = [_with_loaders(settings.TEMPLATES[0], is_cached)]
    page = Visitor(somebody("ada") if is_logged_in else None).open("/tokens/")
    tokens = _tokens(page.html)
    forms = [{"text": str(number), "csrfmiddlewaretoken": token} for number, token in enumerate(tokens)]
    assert [page.event("write", form=form).status_code for form in forms] == [200] * 8


def test_an_answer_and_a_push_hold_no_token(stage: LiveEnvironment) -> None:
    page = Visitor().open("/tokens/")
    assert set(_tokens(page.event("write", {"text": "x"}).content.decode())) == {""}
    page.event("work")
    stage.runner.run_all()
    assert set(_tokens("".join(message.data for message in stage.transport.messages))) == {""}


def refused_by_project(request: HttpRequest, reason: str = "") -> HttpResponse:
    return HttpResponse(f"the project says {reason}", status=403)


@pytest.mark.parametrize("is_debug", [False, True])
def test_the_script_learns_that_the_token_is_refused_and_in_debug_why(settings: Any, is_debug: bool) -> None:
    page = Visitor().open()
    settings.DEBUG = is_debug
    for answer in (page.event("add", X_CSRFToken=None), page.sync(X_CSRFToken=None)):
        reason = "CSRF token missing." if is_debug else None
        headers = (answer.headers.get("X-Live-Refused"), answer.headers.get("X-Live-Reason"))
        assert (answer.status_code, answer.content, *headers) == (403, b"", "csrf", reason)


def test_other_refusals_are_not_taken_for_this_one() -> None:
    page = Visitor(somebody("ada", is_superuser=True)).open("/guarded/")
    get_user_model().objects.update(is_superuser=False)
    answer = page.event("add")
    assert (answer.status_code, "X-Live-Refused" in answer.headers) == (403, False)


def test_a_form_without_our_script_is_answered_in_words_about_the_token() -> None:
    page = Visitor().open("/guestbook/")
    form = {"_live": page.live, "text": "x"}
    answer = page.event("write", form=form, X_Live=None, X_Live_Page=None, X_CSRFToken=None)
    assert "This page&#x27;s security token is out of date. Reload the page to go on." in answer.content.decode()


def test_the_projects_own_urls_keep_the_projects_failure_view(settings: Any) -> None:
    settings.CSRF_FAILURE_VIEW = f"{__name__}.refused_by_project"
    page = Visitor().open()
    answer = page.visitor.http.post("/counter/")
    assert (answer.status_code, answer.content) == (403, b"the project says CSRF token missing.")
    assert page.event("add", X_CSRFToken=None).headers["X-Live-Refused"] == "csrf"


def test_a_token_is_refused_in_the_same_words_under_asgi() -> None:
    post = async_to_sync(AsyncClient(enforce_csrf_checks=True).post)
    answer = post("/live/sync/", headers={"X-Live-Page": "x"})
    assert (answer.status_code, answer.headers.get("X-Live-Refused")) == (403, "csrf")


def _with_loaders(engine: dict[str, Any], is_cached: bool) -> dict[str, Any]:
    loaders: list[Any] = [f"{one.__module__}.{one.__qualname__}" for one in (FileLoader, AppLoader)]
    if is_cached:
        loaders = [("django.template.loaders.cached.Loader", loaders)]
    return {**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}


def _tokens(html: str) -> list[str]:
    return re.findall(r'(?:name="csrfmiddlewaretoken" value|data-token)="(.*?)"', html)
