"""Notices: kept until they are seen, in all tabs of a user."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages import add_message
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client
from django.urls import include, path

from htmx_live import LiveView, UserError, anotify, event_handler, notify
from htmx_live.backends.wire import user_channel
from htmx_live.core.exceptions import TurnError
from htmx_live.core.signing import unsign_page
from htmx_live.http.stream_endpoint import PageStreamAuthorizer, StreamGrant
from htmx_live.runtime.services import services
from htmx_live.testing.environment import LiveEnvironment, live_environment

pytestmark = pytest.mark.django_db
PAGE = "{% load htmx_live %}<head>{% htmx_live %}</head>{% toasts messages=True %}"


def show(request: HttpRequest) -> HttpResponse:
    if "message" in request.GET:
        add_message(request, 30, "<b>Old</b> words")
    return HttpResponse(Template(PAGE).render(Context({"request": request})))


def tell(request: HttpRequest) -> HttpResponse:
    notify(request, "Told", key="told", url="/report/?a=1&b=2", level="success")
    return HttpResponse("ok")


class Worker(LiveView):
    template_name = "views/teller.html"

    @event_handler
    def say(self, fail: bool = False) -> None:
        notify(self.request, "From a turn")
        if fail:
            raise ValueError("It failed.")

    @event_handler
    def work(self) -> None:
        self.start_async(self._work)

    @event_handler
    def import_all(self, name: str = "", fail: bool = False) -> None:
        self.start_async(self._import_all, fail, notify=name or True)

    def _import_all(self, fail: bool) -> None:
        if fail:
            raise UserError("The file is empty.")

    @event_handler
    def stop(self) -> None:
        self.cancel_async("import_all")

    def _work(self) -> None:
        notify(self.request, "From a job")


urlpatterns = [path("", show), path("tell/", tell), path("live/", include("htmx_live.urls"))]


@pytest.fixture(autouse=True)
def staged(settings: Any) -> Iterator[LiveEnvironment]:
    settings.ROOT_URLCONF = __name__
    with live_environment() as built:
        yield built


@pytest.fixture
def anna() -> Any:
    return get_user_model().objects.create_user("anna")


class Tab:
    """A page in a browser's tab."""

    def __init__(self, http: Client, query: str = "") -> None:
        self.http = http
        self.html = http.get(f"/{query}").content.decode().partition("</head>")[2]
        head = http.get("/").content.decode()
        self.grant = self._found(r'data-page="([^"]*)"', head)
        self.number = self._found(r'data-number="([^"]*)"', head)

    @staticmethod
    def _found(pattern: str, text: str) -> str:
        found = re.search(pattern, text)
        return found[1] if found else ""

    @property
    def toasts(self) -> list[tuple[str, str, str]]:
        """Level, role and inner HTML of each."""
        return re.findall(r'data-level="(\w+)" role="(\w+)"[^>]*><p data-live-text>(.*?)</p>', self.html)

    @property
    def ids(self) -> list[str]:
        return re.findall(r'id="live-notice-(\w+)"', self.html)

    def heard(self) -> list[dict[str, str]]:
        """What its stream brings."""
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.http.cookies.items())
        access = PageStreamAuthorizer().authorize({"x-live-page": self.grant, "cookie": cookies})
        assert isinstance(access, StreamGrant)
        page = f"page:{unsign_page(self.grant, max_age=60).page}"
        assert page in access.channels
        found = services().bus.read(access.channels, self.number).messages
        return [json.loads(message.data) for message in found if message.event == "notice"]

    def see(self, *ids: str) -> int:
        return self.http.post("/live/notices/", {"id": ids}, headers={"X-Live-Page": self.grant}).status_code


def logged_in(user: Any) -> Client:
    http = Client()
    http.force_login(user)
    return http


def test_a_notice_reaches_every_tab_of_its_user_and_nobody_else(anna: Any) -> None:
    tabs = [Tab(logged_in(anna)), Tab(logged_in(anna))]
    ben = Tab(logged_in(get_user_model().objects.create_user("ben")))
    notify(anna, "Import finished", level="success", url="/report/", key="import")
    heard = [tab.heard() for tab in tabs]
    [new] = Tab(logged_in(anna)).ids
    expected = {"message": "Import finished", "level": "success", "key": "import", "url": "/report/"}
    assert heard == [[{**expected, "id": f"live-notice-{new}"}]] * 2
    assert (ben.heard(), Tab(ben.http).toasts) == ([], [])


def test_a_notice_waits_for_the_next_page_until_it_was_seen(anna: Any) -> None:
    http = logged_in(anna)
    notify(anna, "<i>Done</i> & dusted", url="/a/?b=1&c=2")
    tab, other = Tab(http), Tab(http)
    expected = '<a href="/a/?b=1&amp;c=2">&lt;i&gt;Done&lt;/i&gt; &amp; dusted</a>'
    assert (tab.toasts, other.toasts) == ([("info", "status", expected)],) * 2
    assert tab.see(*tab.ids) == 204
    assert Tab(http).toasts == []
    assert other.heard() == [{"message": "", "key": f"live-notice-{tab.ids[0]}"}]


def test_a_newer_notice_of_the_same_key_is_not_seen_by_a_late_word_about_the_older(anna: Any) -> None:
    http = logged_in(anna)
    notify(anna, "10 %", key="import")
    tab = Tab(http)
    notify(anna, "20 %", key="import")
    assert tab.see(*tab.ids) == 204
    assert [text for _, _, text in Tab(http).toasts] == ["20 %"]
    assert [one["message"] for one in tab.heard()] == ["", "20 %"]


def test_nobody_reads_or_ends_anothers_notices(anna: Any) -> None:
    ben = Tab(logged_in(get_user_model().objects.create_user("ben")))
    notify(anna, "Private")
    mine = Tab(logged_in(anna))
    assert ben.see(*mine.ids) == 204
    assert len(Tab(mine.http).toasts) == 1


def test_a_page_that_is_away_hears_nothing_of_what_was_seen_meanwhile(anna: Any) -> None:
    http = logged_in(anna)
    away = Tab(http)
    notify(anna, "Seen elsewhere")
    tab = Tab(http)
    tab.see(*tab.ids)
    assert away.heard() == [{"message": "", "key": f"live-notice-{tab.ids[0]}"}]


def test_a_visitor_is_known_by_the_session_that_the_notice_makes() -> None:
    http = Client()
    tab = Tab(http)
    assert (http.cookies.get("sessionid"), tab.grant) == (None, "")
    http.get("/tell/")
    shown = Tab(http)
    assert shown.toasts == [("success", "status", '<a href="/report/?a=1&amp;b=2">Told</a>')]
    http.get("/tell/")
    assert [one["message"] for one in shown.heard()] == ["", "Told"]
    assert Tab(Client()).toasts == []


def test_what_a_visitor_was_told_is_there_after_the_login(anna: Any) -> None:
    http = Client()
    http.get("/tell/")
    http.force_login(anna)
    tab = Tab(http)
    assert len(tab.toasts) == 1
    tab.see(*tab.ids)
    assert Tab(http).toasts == []


@pytest.mark.parametrize(
    ("level", "shown", "role"),
    [
        ("debug", "info", "status"),
        ("info", "info", "status"),
        ("success", "success", "status"),
        ("warning", "warning", "alert"),
        ("error", "error", "alert"),
    ],
)
def test_levels_are_those_of_messages(anna: Any, level: str, shown: str, role: str) -> None:
    notify(anna, "x", level=level)
    assert Tab(logged_in(anna)).toasts == [(shown, role, "x")]


def test_messages_stand_beside_notices(anna: Any) -> None:
    tab = Tab(logged_in(anna), "?message")
    assert (tab.toasts, tab.ids) == ([("warning", "alert", "&lt;b&gt;Old&lt;/b&gt; words")], [])


@pytest.mark.django_db(transaction=True)
def test_a_notice_waits_for_the_commit_and_is_gone_with_a_rollback(anna: Any, staged: LiveEnvironment) -> None:
    with transaction.atomic():
        notify(anna, "kept")
        assert Tab(logged_in(anna)).toasts == []
    with pytest.raises(ValueError, match="roll back"), transaction.atomic():
        notify(anna, "dropped")
        raise ValueError("roll back")
    assert [text for _, _, text in Tab(logged_in(anna)).toasts] == ["kept"]
    sent = [message for message in staged.transport.messages if message.channel == user_channel(anna.pk)]
    assert [json.loads(message.data)["message"] for message in sent] == ["kept"]


@pytest.fixture
def worker(anna: Any, live: Any) -> Any:
    return live(Worker, user=anna)


def test_a_turn_that_fails_tells_nothing(anna: Any, worker: Any) -> None:
    with pytest.raises(ValueError, match="It failed"):
        worker.send("say", {"fail": True})
    assert Tab(logged_in(anna)).toasts == []
    worker.send("say", {})
    assert [text for _, _, text in Tab(logged_in(anna)).toasts] == ["From a turn"]


def test_a_job_tells_the_one_who_started_it(anna: Any, worker: Any) -> None:
    worker.send("work", {})
    worker.run_jobs()
    assert [text for _, _, text in Tab(logged_in(anna)).toasts] == ["From a job"]


def told(user: Any) -> list[tuple[str, str]]:
    return [(level, text) for level, _, text in Tab(logged_in(user)).toasts]


@pytest.mark.parametrize(
    ("values", "notice"),
    [
        ({}, ("success", "Import all: done.")),
        ({"name": "Your <import>"}, ("success", "Your &lt;import&gt;: done.")),
        ({"fail": True}, ("error", "Import all: The file is empty.")),
    ],
)
def test_a_job_tells_how_it_ended(anna: Any, live: Any, values: dict[str, Any], notice: tuple[str, str]) -> None:
    worker = live(Worker, user=anna)
    worker.send("import_all", values)
    assert told(anna) == []
    worker.run_jobs(raise_errors=False)
    assert (told(anna), worker.notices) == ([notice], [])


def test_a_job_that_takes_long_says_so_until_it_ends(anna: Any, worker: Any) -> None:
    worker.send("import_all", {})
    worker.advance(9.9)
    assert told(anna) == []
    worker.advance(0.1)
    assert told(anna) == [("info", "Import all: still going…")]
    worker.run_jobs()
    assert told(anna) == [("success", "Import all: done.")]
    worker.advance(60)
    assert told(anna) == [("success", "Import all: done.")]


def test_a_job_that_was_cancelled_tells_nothing(anna: Any, worker: Any) -> None:
    worker.send("import_all", {})
    worker.send("stop", {})
    worker.run_jobs()
    worker.advance(60)
    assert told(anna) == []


def test_the_async_twin_does_the_same(anna: Any) -> None:
    async_to_sync(anotify)(anna, "x", level="error", key="k")
    assert Tab(logged_in(anna)).toasts == [("error", "alert", "x")]


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "/\\evil", "/a\nb"])
def test_a_notice_leads_to_no_other_site(anna: Any, url: str) -> None:
    with pytest.raises(ValueError, match="leaves this site"):
        notify(anna, "x", url=url)


@pytest.mark.parametrize("to", [None, "anna", 1, AnonymousUser()])
def test_who_cannot_be_told_is_named(to: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"notify(to={to!r})")):
        notify(to, "x")


def test_unknown_levels_and_empty_messages_are_named(anna: Any) -> None:
    with pytest.raises(ValueError, match=r"'loud'.*: expected one of debug, info, success, warning, error"):
        notify(anna, "x", level="loud")
    with pytest.raises(ValueError, match="got an empty message"):
        notify(anna, "")


def test_toasts_need_a_request() -> None:
    with pytest.raises(TurnError, match="needs the request"):
        Template(PAGE).render(Context())


def test_without_javascript_a_button_dismisses_them(anna: Any) -> None:
    http = logged_in(anna)
    notify(anna, "x")
    tab = Tab(http)
    assert '<noscript><form method="post" action="/live/notices/">' in tab.html
    answer = http.post("/live/notices/", {"id": tab.ids}, headers={"Referer": "http://testserver/page/"})
    assert (answer.status_code, answer["Location"]) == (302, "http://testserver/page/")
    assert Tab(http).toasts == []


def test_seeing_takes_the_pages_csrf_token(anna: Any) -> None:
    notify(anna, "x")
    http = Client(enforce_csrf_checks=True)
    http.force_login(anna)
    assert http.post("/live/notices/", {"id": Tab(http).ids}).status_code == 403
    assert len(Tab(http).toasts) == 1
