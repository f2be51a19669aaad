"""Cards on pages: what is drawn, what is published, and how often."""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import Context, Template, TemplateSyntaxError
from django.test import AsyncClient, Client
from django.urls import include, path

from htmx_live.backends.redis.client import RedisConnection
from htmx_live.core.exceptions import GrantError
from htmx_live.core.records import Owner
from htmx_live.jobs.runners.immediate import ImmediateRunner
from htmx_live.progress import ProgressSession, accepted, current_task
from htmx_live.progress import publisher as showing
from htmx_live.progress.cards import ProgressGrant, is_owner, sign_control_grant, sign_read_grant, unsign_progress_grant
from htmx_live.progress.redis_store import RedisProgressStore
from htmx_live.progress.reporter import running_tasks
from htmx_live.progress.store import override_progress_store
from htmx_live.runtime.owners import get_owners
from htmx_live.runtime.services import services
from htmx_live.testing.environment import LiveEnvironment
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db
HEAD = "{% load htmx_live %}<head>{% htmx_live %}</head>"
PAGES: dict[str, str] = {}
HTMX = {"HTTP_HX_REQUEST": "true"}
BROWSER = {"HTTP_ACCEPT": "text/html,*/*"}


def show(request: HttpRequest, name: str) -> HttpResponse:
    session = ProgressSession.get(request.GET.get("session", ""))
    return HttpResponse(Template(HEAD + PAGES[name]).render(Context({"request": request, "session": session})))


def start(request: HttpRequest) -> Any:
    session = ProgressSession.create({"a": "Import"}, owner=request)
    request.session["last"] = session.session_id
    return accepted(request, session, redirect=request.GET.get("to", ""))


def lines(request: HttpRequest, session: str) -> StreamingHttpResponse:
    found = ProgressSession.get(session)
    assert found is not None
    return StreamingHttpResponse(found.stream(poll_interval=0.01), content_type="application/json")


async def alines(request: HttpRequest, session: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(ProgressSession.get(session).astream(0.01))  # type: ignore[union-attr]


urlpatterns = [
    path("page/<name>/", show),
    path("start/", start),
    path("lines/<session>/", lines),
    path("alines/<session>/", alines),
    path("live/", include("htmx_live.urls")),
]


@pytest.fixture(autouse=True)
def site(settings: Any, staged: LiveEnvironment) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    PAGES.update(
        card="{% progress session %}",
        full='{% progress session redirect="/done/?a=1&b=2" event="imported" class="wide" %}',
        some='{% progress session "b" %}',
        list="{% progress_list %}",
        open="{% progress session cancel=True %}",
    )
    yield


def card(client: Client, session: ProgressSession, name: str = "card") -> str:
    body = client.get(f"/page/{name}/", {"session": session.session_id}).content.decode()
    return body.split("</head>")[1].strip()


def sent(staged: LiveEnvironment) -> list[str]:
    """The cards that were published since."""
    found = [message.data for message in staged.transport.messages if message.target.startswith("progress-")]
    staged.transport.messages.clear()
    return found


def signed_in(name: str = "ann") -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user(name))
    return client


def actions(html: str) -> list[str]:
    return re.findall(r'hx-post="([^"]+)"', html)


def test_a_card_is_a_labelled_progress_bar(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.update("a", current=420, total=1000, unit="rows")
    html = card(Client(), session)
    assert f'<div id="progress-{session.session_id}" class="live-progress" data-live-progress=' in html
    assert f'role="progressbar" aria-labelledby="progress-{session.session_id}-1-name"' in html
    assert 'aria-valuenow="42" aria-valuetext="42 %, running"' in html
    assert "420 of 1,000 rows" in html
    assert ("data-live-done" in html, "data-live-redirect" in html, "style=" in html) == (False, False, False)


def test_a_card_names_what_happens_at_its_end(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    html = card(Client(), session, "full")
    assert 'class="live-progress wide"' in html
    assert 'data-live-redirect="/done/?a=1&amp;b=2" data-live-event="imported"' in html


@pytest.mark.parametrize("end", ["complete", "error", "cancelled"])
def test_an_end_is_named_for_the_script(staged: LiveEnvironment, end: str) -> None:
    session = ProgressSession.create({"a": "Import"})
    card(Client(), session)
    session.start("a")
    session.cancel() if end == "cancelled" else getattr(session, end)("a")
    assert f'data-live-done="{end}"' in sent(staged)[-1]
    assert f'data-live-done="{end}"' in card(Client(), session)


def test_messages_and_names_are_escaped(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "<i>"})
    html = card(Client(), session)
    session.error("a", "</hx-partial><script>alert(1)</script>")
    published = sent(staged)[-1]
    assert ("<i>" in html, "<script" in published, published.count("</hx-partial>")) == (False, False, 1)


def test_a_card_of_some_tasks_shows_these(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "First", "b": "Second"})
    html = card(Client(), session, "some")
    assert ("Second" in html, "First" in html) == (True, False)


def test_a_task_that_is_not_there_is_an_error_at_render(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "First"})
    with pytest.raises(TemplateSyntaxError, match="no task 'b'"):
        card(Client(), session, "some")


def test_of_a_session_that_is_gone_nothing_is_shown(staged: LiveEnvironment) -> None:
    assert Client().get("/page/card/").content.decode().split("</head>")[1] == ""


def test_of_very_many_tasks_those_that_matter_are_drawn(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({f"t{number}": f"Task {number}" for number in range(500)})
    session.error("t400", "broken")
    html = card(Client(), session)
    assert html.count('class="live-progress-task"') == 20
    assert ("broken" in html, "and 480 more tasks" in html) == (True, True)


def test_what_nobody_shows_is_not_drawn(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.update("a", current=1, total=2)
    assert sent(staged) == []


def test_a_change_is_drawn_once_for_all_viewers(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    for _ in range(100):
        card(Client(), session)
    staged.clock.advance(1)
    session.update("a", current=1, total=2)
    assert [re.findall(r'aria-valuenow="(\d+)"', html) for html in sent(staged)] == [["50"]]


def test_a_thousand_updates_in_a_second_are_ten_frames_with_the_last_among_them(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    card(Client(), session)
    for number in range(1, 1001):
        session.update("a", current=number, total=1000)
        staged.clock.advance(0.001)
    staged.clock.advance(0.3)
    frames = sent(staged)
    assert len(frames) <= 12
    assert "1,000 of 1,000" in frames[-1]


def test_an_end_does_not_wait_for_its_turn(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    card(Client(), session)
    session.update("a", current=1, total=2)
    session.complete("a")
    assert 'data-live-done="complete"' in sent(staged)[-1]


def test_a_start_waits_for_its_turn_and_a_wait_for_a_worker_does_not(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import", "b": "Export"})
    card(Client(), session)
    session.update("a", current=1, total=2)
    sent(staged)
    session.start("b")
    assert sent(staged) == []
    session.queued("b", "celery-1")
    assert len(sent(staged)) == 1


def test_a_simulated_bar_moves_on_the_page(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    card(Client(), session)
    session.start("a")
    sent(staged)
    staged.clock.advance(10)
    percents = [int(re.findall(r'aria-valuenow="(\d+)"', html)[0]) for html in sent(staged)]
    assert len(percents) >= 4 and percents == sorted(set(percents))


def test_announcements_change_at_quarters_only(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    card(Client(), session)
    said = []
    for number in range(101):
        session.update("a", current=number, total=100)
        staged.clock.advance(0.2)
        said += re.findall(r'aria-live="polite">([^<]*)<', "".join(sent(staged)))
    session.complete("a")
    said += re.findall(r'aria-live="polite">([^<]*)<', "".join(sent(staged)))
    assert list(dict.fromkeys(said)) == ["running", "25 %", "50 %", "75 %", "100 %", "complete"]


# Owners and grants


def test_the_owner_may_cancel_and_others_may_not(staged: LiveEnvironment) -> None:
    ann, bob = signed_in(), signed_in("bob")
    ann.get("/start/", **HTMX)
    session = ProgressSession.get(ann.session["last"])
    assert session is not None
    session.start("a")
    [cancel], others = actions(card(ann, session)), actions(card(bob, session))
    assert others == []
    assert [client.post(cancel, **HTMX).status_code for client in (bob, Client(), ann)] == [404, 404, 204]
    assert session.to_dict()["status"] == "cancelled"


def test_without_an_owner_the_page_decides_who_may_cancel(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    assert actions(card(Client(), session)) == []
    [cancel] = actions(card(Client(), session, "open"))
    assert Client().post(cancel, **HTMX).status_code == 204


def test_cancelling_wants_the_token(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    [cancel] = actions(card(Client(), session, "open"))
    assert Client(enforce_csrf_checks=True).post(cancel, **HTMX).status_code == 403


def test_without_javascript_cancelling_leads_back(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    [cancel] = actions(card(Client(), session, "open"))
    back = Client().post(cancel, HTTP_REFERER="http://testserver/page/card/", **BROWSER)
    assert (back.status_code, back["Location"]) == (303, "http://testserver/page/card/")


def test_whoever_has_no_grant_sees_one_and_the_same_404(staged: LiveEnvironment, settings: Any) -> None:
    ann, bob = signed_in(), signed_in("bob")
    url = ann.get("/start/", **HTMX)["Location"]
    session = ProgressSession.get(ann.session["last"])
    assert session is not None
    [control] = actions(card(ann, session))
    forged = url[:-3] + ("AAA" if url[-3:] != "AAA" else "BBB")
    answers = [
        bob.get(url),
        Client().get(url),
        ann.get(forged + "/"),
        ann.get("/live/progress/guessed/"),
        ann.get(control.removesuffix("cancel/")),
        ann.post(url + "cancel/"),
    ]
    assert ann.get(url).status_code == 200
    settings.HTMX_LIVE = {"GRANT_MAX_AGE": -1}
    answers.append(ann.get(url))
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


def test_a_session_is_found_by_its_owner_only(staged: LiveEnvironment, rf: Any) -> None:
    ann, bob = (get_user_model().objects.create_user(name) for name in ("ann", "bob"))
    session = ProgressSession.create({"a": "Import"}, owner=ann)
    assert ProgressSession.get(session.session_id, owner=ann) is not None
    assert ProgressSession.get(session.session_id, owner=bob) is None
    assert ProgressSession.get(session.session_id, owner=rf.get("/")) is None
    with pytest.raises(TypeError, match="expected a request, or a user"):
        ProgressSession.create({"a": "Import"}, owner="ann")


def test_a_visitor_who_makes_a_session_owns_it_and_one_who_looks_gets_no_cookie(
    staged: LiveEnvironment, rf: Any
) -> None:
    visitor, other = rf.get("/"), rf.get("/")
    visitor.session, other.session = {}, {}
    session = ProgressSession.create({"a": "Import"}, owner=visitor)
    assert ProgressSession.get(session.session_id, owner=visitor) is not None
    assert ProgressSession.get(session.session_id, owner=other) is None
    assert get_owners(other) == (Owner(),)


def test_a_grant_to_read_expires_and_one_to_control_says_so(staged: LiveEnvironment, rf: Any, settings: Any) -> None:
    settings.HTMX_LIVE = {"GRANT_MAX_AGE": 100}
    session, request = ProgressSession.create({"a": "Import"}).header, rf.get("/")
    read = sign_read_grant(session, Owner(), now=1000)
    assert unsign_progress_grant(read, request, now=1100) == ProgressGrant(session_id=session.id, may_control=False)
    with pytest.raises(GrantError, match="expired"):
        unsign_progress_grant(read, request, now=1101)
    assert unsign_progress_grant(sign_control_grant(session), request) == ProgressGrant(
        session_id=session.id, may_control=True
    )


def test_nobody_owns_what_has_no_owner() -> None:
    asking = [Owner(), Owner(token="a")]
    assert [is_owner(owner, asking) for owner in (Owner(), Owner(token="b"), Owner(token="a"))] == [False, False, True]


# The status page, accepted()


def test_accepted_answers_htmx_with_a_card(staged: LiveEnvironment) -> None:
    answer = Client().get("/start/", **HTMX)
    assert (answer.status_code, answer["Retry-After"], answer["Location"][:15]) == (202, "2", "/live/progress/")
    assert 'data-live-progress="' in answer.content.decode()


def test_accepted_answers_an_api_client_with_json(staged: LiveEnvironment) -> None:
    client = Client()
    answer = client.get("/start/", HTTP_ACCEPT="application/json")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    status = client.get(answer["Location"])
    assert (status.json()["session_id"], status["Retry-After"]) == (answer.json()["session_id"], "2")


def test_accepted_sends_a_browser_to_a_page_that_refreshes_itself(staged: LiveEnvironment) -> None:
    client = Client()
    answer = client.get("/start/", {"to": "/done/"}, **BROWSER)
    assert answer.status_code == 303
    page = client.get(answer["Location"], **BROWSER).content.decode()
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    session = ProgressSession.get(client.session["last"])
    assert session is not None
    session.complete("a")
    staged.clock.advance(2)
    end = client.get(answer["Location"], **BROWSER)
    assert (end.status_code, end["Location"]) == (302, "/done/")


def test_the_status_page_rests_at_the_end(staged: LiveEnvironment) -> None:
    client = Client()
    url = client.get("/start/", **BROWSER)["Location"]
    session = ProgressSession.get(client.session["last"])
    assert session is not None
    session.error("a", "No disk")
    page = client.get(url, **BROWSER).content.decode()
    assert ("http-equiv" in page, "No disk" in page) == (False, True)


def test_events_have_ids_and_a_viewer_who_saw_the_end_is_told_not_to_return(staged: LiveEnvironment) -> None:
    client = Client()
    url = client.get("/start/", **HTMX)["Location"]
    session = ProgressSession.get(client.session["last"])
    assert session is not None
    session.error("a")
    text = client.get(url, HTTP_ACCEPT="text/event-stream").content.decode()
    assert re.match(r'id: 1\ndata: \{"overall_percent": 0, .*\}\n\n$', text)
    late = client.get(url, HTTP_ACCEPT="text/event-stream", HTTP_LAST_EVENT_ID="0")
    assert (late.status_code, late.content.decode()) == (200, text)
    assert client.get(url, HTTP_ACCEPT="text/event-stream", HTTP_LAST_EVENT_ID="1").status_code == 204


# The list


def test_the_list_shows_the_users_running_work_and_what_starts_later(staged: LiveEnvironment) -> None:
    ann = signed_in()
    user = get_user_model().objects.get(username="ann")
    page = ann.get("/page/list/").content.decode()
    assert ('id="progress-list"' in page, "progressbar" in page) == (True, False)
    session = ProgressSession.create({"a": "Import"}, owner=user)
    session.start("a")
    ProgressSession.create({"a": "Foreign"}, owner=get_user_model().objects.create_user("bob"))
    staged.clock.advance(1)
    assert "Import" in sent(staged)[-1] and "Foreign" not in ann.get("/page/list/").content.decode()
    session.complete("a")
    assert "complete" in sent(staged)[-1]
    staged.clock.advance(30)
    assert "Import" not in sent(staged)[-1]
    assert staged.clock._calls == [] and running_tasks() == []


def test_a_list_shows_a_session_as_soon_as_it_is_made(staged: LiveEnvironment) -> None:
    signed_in().get("/page/list/")
    ProgressSession.create({"a": "Import"}, owner=get_user_model().objects.get(username="ann"))
    assert "Import" in sent(staged)[-1]


def test_a_hundred_sessions_at_once_draw_their_list_a_few_times(staged: LiveEnvironment) -> None:
    ann = signed_in()
    ann.get("/page/list/")
    user = get_user_model().objects.get(username="ann")
    sessions = [ProgressSession.create({"a": "Import"}, owner=user) for _ in range(100)]
    staged.clock.advance(1)
    sent(staged)
    for number in range(10):
        for session in sessions:
            session.update("a", current=number, total=10)
        staged.clock.advance(0.1)
    staged.clock.advance(1)
    lists = sent(staged)
    assert len(lists) <= 5 and lists[-1].count("90 %,") == 100


def test_a_visitor_without_a_session_has_an_empty_list(staged: LiveEnvironment) -> None:
    assert "progressbar" not in Client().get("/page/list/").content.decode()


# Started by the runner


def add(one: int, other: int) -> None:
    task = current_task()
    assert task is not None
    task.update(current=one, total=one + other)


async def afail(text: str) -> None:
    raise ValueError(text)


def perform(staged: LiveEnvironment) -> None:
    runner = services().runner
    assert isinstance(runner, ImmediateRunner)
    runner.run_all()


def test_the_runner_performs_a_task(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", add, 1, other=3)
    assert session.to_dict()["tasks"]["a"]["status"] == "queued"
    perform(staged)
    staged.clock.advance(2)
    assert session.to_dict()["tasks"]["a"]["status"] == "complete"


def test_what_no_worker_has_begun_says_so(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", add, 1, other=3)
    staged.clock.advance(9)
    assert session.to_dict()["tasks"]["a"]["message"] == "Waiting for a worker…"


def test_a_task_that_failed_is_started_again_by_its_button(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", afail, "secret")
    perform(staged)
    html = card(Client(), session, "open")
    assert ("secret" in html, "Import failed" in html) == (False, True)
    [again] = actions(html)
    assert again.endswith("/retry/") and Client().post(again, **HTMX).status_code == 204
    assert session.to_dict()["tasks"]["a"]["status"] == "queued"
    perform(staged)
    assert session.to_dict()["tasks"]["a"]["status"] == "error"


def test_a_cancelled_task_is_not_begun(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.run("a", add, 1, other=3)
    session.cancel()
    perform(staged)
    assert session.to_dict()["status"] == "cancelled"


ATTEMPTS: list[str] = []


def restarted(ending: str) -> None:
    """Somebody cancels it and starts it again, and only then the first start comes to its end."""
    task = current_task()
    assert task is not None
    ATTEMPTS.append(ending)
    if len(ATTEMPTS) > 1:
        return
    task.session.cancel()  # type: ignore[attr-defined]
    task.session.retry()  # type: ignore[attr-defined]
    if ending == "cancelled":
        task.check_cancelled()
    if ending == "failed":
        raise ValueError


@pytest.mark.parametrize("ending", ["cancelled", "failed", "done"])
def test_the_late_end_of_a_start_does_nothing_to_the_next_one(staged: LiveEnvironment, ending: str) -> None:
    ATTEMPTS.clear()
    session = ProgressSession.create({"a": "Import"})
    session.run("a", restarted, ending)
    perform(staged)
    staged.clock.advance(2)
    assert (ATTEMPTS, session.to_dict()["status"]) == ([ending, ending], "complete")


def test_a_session_that_is_started_again_waits_for_its_later_tasks_once_more(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Check", "b": "Import"})
    session.run("a", afail, "secret")
    perform(staged)
    session.cancel("b")
    session.retry()
    assert [session.to_dict()["tasks"][task]["status"] for task in "ab"] == ["queued", "pending"]
    session.cancel()
    session.retry("b")  # nobody has started it, so there is nothing to start again
    assert session.to_dict()["tasks"]["b"]["status"] == "cancelled"


def test_what_no_other_process_could_find_is_refused(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    with pytest.raises(TypeError, match="a function at module level"):
        session.run("a", lambda: None)


# Streaming, as the seed does it


def test_a_stream_is_the_body_of_a_response_under_wsgi(staged: LiveEnvironment) -> None:
    session = ProgressSession.create({"a": "Import"})
    session.error("a")
    answer = Client().get(f"/lines/{session.session_id}/")
    assert b"".join(answer.streaming_content).startswith(b'{"overall_percent": 0, ')


@pytest.mark.parametrize("name", ["lines", "alines"])
def test_under_asgi_the_first_line_is_out_at_once(staged: LiveEnvironment, name: str) -> None:
    session = ProgressSession.create({"a": "Import"})

    async def view() -> tuple[bytes, bytes]:
        answer = await AsyncClient().get(f"/{name}/{session.session_id}/")
        body = aiter(answer.streaming_content)
        first = await anext(body)  # while it has not ended
        session.error("a")
        return first, [line async for line in body][-1]

    first, last = async_to_sync(view)()
    assert (b'"pending"' in first, last.count(b'"error"')) == (True, 2)


# Redis


def test_a_list_of_a_hundred_sessions_takes_two_round_trips(staged: LiveEnvironment, redis_server: RedisServer) -> None:
    client = signed_in()
    owner = get_user_model().objects.get()
    prefix = f"{uuid4().hex}:"
    place = RedisProgressStore(RedisConnection(redis_server.url, prefix=prefix))
    with override_progress_store(place), redis_server.client() as redis:
        for number in range(100):
            ProgressSession.create({"a": f"Import {number}"}, owner=owner)
        client.get("/page/list/")  # Redis knows the scripts from now on
        with redis.monitor() as monitor:
            html = client.get("/page/list/").content.decode()
            redis.echo("end")
            said = list(takewhile(lambda each: each["command"] != "ECHO end", iter(monitor.next_command, None)))
    calls = [each["command"] for each in said if each["client_type"] != "lua" and prefix in each["command"]]
    of_the_tag = [call for call in calls if not call.endswith("progress:session:")]  # what the view asks for
    assert (len(of_the_tag), html.count('role="progressbar"')) == (2, 100)


def test_sessions_that_have_not_changed_for_long_leave_nothing_in_memory(staged: LiveEnvironment) -> None:
    for number in range(1000):
        ProgressSession.create({"a": f"Import {number}"}).complete("a")
        staged.clock.advance(1)
    assert len(showing._throttled_until) <= 100
