"""Components that need a page: the card and the list of long work, its buttons, and the place for notices."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client
from django.urls import include, path

from htmx_live.progress import ProgressSession
from htmx_live.testing.environment import LiveEnvironment

pytestmark = pytest.mark.django_db


def start(request: HttpRequest) -> HttpResponse:
    request.session["known"] = True
    return HttpResponse(ProgressSession.create({"a": "Import", "b": "Check"}, owner=request).session_id)


def show(request: HttpRequest) -> HttpResponse:
    context = Context({"request": request, "session": request.GET.get("session", "")})
    return HttpResponse(Template("{% load htmx_live %}{% htmx_live %}<main>" + request.GET["template"]).render(context))


urlpatterns = [path("start/", start), path("show/", show), path("live/", include("htmx_live.urls"))]


@pytest.fixture(autouse=True)
def site(settings: Any, staged: LiveEnvironment) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    yield


@pytest.fixture
def session(client: Client) -> ProgressSession:
    """A session of the client's, nothing of it begun."""
    found = ProgressSession.get(client.get("/start/").content.decode())
    assert found is not None
    return found


def html(client: Client, template: str, session: ProgressSession | None = None) -> str:
    about = {"template": template, "session": session.session_id if session else "gone"}
    return client.get("/show/", about).content.decode().partition("<main>")[2]


def test_a_card_stands_in_an_element_that_takes_attributes(client: Client, session: ProgressSession) -> None:
    shown = html(client, '{% component "live_progress" session tasks="a" class="wide" data-x="1" / %}', session)
    assert re.match(r'<div data-x="1" class="live-work wide"[^>]*><div id="progress-', shown)
    assert ("Import" in shown, "Check" in shown) == (True, False)


def test_a_session_that_is_gone_leaves_the_slot_for_it(client: Client) -> None:
    shown = html(client, '{% component "live_progress" session %}It is over.{% endcomponent %}')
    assert re.fullmatch(r'<div class="live-work"[^>]*>It is over.</div>\s*', shown)


def test_a_list_shows_what_runs_and_words_for_nothing(client: Client, session: ProgressSession) -> None:
    with session.task("a"):
        shown = html(client, '{% component "live_progress_list" empty="Nothing runs." / %}')
    assert 'id="progress-list"' in shown and f"progress-item-{session.session_id}" in shown
    assert '<p class="live-empty">Nothing runs.</p>' in shown


def test_the_owner_cancels_with_a_button_and_nobody_else_sees_it(client: Client, session: ProgressSession) -> None:
    template = '{% component "live_cancel_button" session %}Stop{% endcomponent %}'
    assert "<form" not in html(Client(), template, session)
    shown = html(client, template, session)
    assert ">Stop</button>" in shown
    client.post(re.search('action="([^"]+)"', shown)[1])  # type: ignore[index]
    assert "<form" not in html(client, template, session)


def test_the_place_for_toasts_on_a_page_holds_the_users_notices(client: Client, session: ProgressSession) -> None:
    shown = html(client, '{% component "live_toasts" position="top-end" / %}')
    assert re.match(r'<div data-at="top-end"[^>]*>', shown)
    assert ("htmx_live/notices.js" in shown, shown.count("data-live-toasts")) == (True, 1)
