"""A store, a bus or both that are away: what is answered, and what is made good when they are back."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils.translation import override as language

from htmx_live import LiveView
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import Outage
from htmx_live.runtime.dispatch import dispatch, schedule_turn
from htmx_live.runtime.inbox_messages import Push
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient
from tests.working_views import HOOKS, Work

Live = Callable[..., LiveClient]


class Page(LiveView):
    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 1


urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("plain/", lambda request: HttpResponse("plain")),
    path("page/", Page.as_view()),
]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> Iterator[None]:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture
def page(live: Live) -> LiveClient:
    return live(Work, raise_errors=False)


@contextmanager
def away(part: object, *names: str) -> Iterator[None]:
    """These methods of a part raise what they do when Redis does not answer."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise StoreUnavailable("Redis does not answer.")

    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(part, name, fail)
        yield


# Answers


@pytest.mark.urls(__name__)
def test_a_page_without_live_views_does_not_notice(live: Live) -> None:
    with away(services().bus, "position"):
        response = Client().get("/plain/")
    assert (response.status_code, response.content) == (200, b"plain")


@pytest.mark.urls(__name__)
def test_a_page_with_a_live_view_says_in_words_that_it_is_not_available(live: Live) -> None:
    with away(services().bus, "position"), away(services().store, "create", "load"), language("en"):
        response = Client().get("/page/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert b"Not available at the moment" in response.content
    assert b"Redis" not in response.content


@pytest.mark.urls(__name__)
def test_an_async_site_answers_the_same(live: Live, settings: Any) -> None:
    async def ask() -> list[Any]:
        return [await AsyncClient().get(f"/{name}/") for name in ("plain", "page")]

    with away(services().bus, "position"), away(services().store, "create", "load"):
        responses = async_to_sync(ask)()
    assert [response.status_code for response in responses] == [200, 503]


@pytest.mark.parametrize("method", ["acquire", "load", "save"])
def test_a_click_is_a_503_and_changes_nothing(page: LiveClient, method: str) -> None:
    with away(services().store, method):
        page.click("click")
    assert (page.status, page.state["clicks"]) == (503, 0)
    page.click("click")
    assert (page.status, page.state["clicks"]) == (200, 1)


def test_a_start_that_cannot_be_watched_over_is_a_503_and_starts_nothing(page: LiveClient) -> None:
    with away(services().store, "set_deadline"):
        page.send("start", {"job": "set_a"})
    assert (page.status, page.pending, page.run_jobs()) == (503, [], 0)


def test_a_sync_is_a_503(page: LiveClient) -> None:
    with away(services().store, "load"):
        page.sync()
    assert page.status == 503


# What is saved stands


@pytest.mark.parametrize("method", ["publish", "append"])
def test_a_click_that_is_saved_is_answered_though_nobody_else_can_be_told(page: LiveClient, method: str) -> None:
    with away(services().bus, method):
        page.send("write", {"text": "hello"})
        assert (page.status, page.state["b"]) == (200, "hello")
        page.advance(5)
    before, sent = page.rev, len(page.fragments)
    page.advance(5)
    assert (page.rev > before, len(page.fragments) > sent) == (True, True)
    assert services().bus.text(f"live-{page.instance}-s-log").text == "hello"  # type: ignore[union-attr]


def test_a_lease_that_cannot_be_released_does_not_undo_the_click(page: LiveClient) -> None:
    with away(services().store, "release"):
        page.click("click")
    assert (page.status, page.state["clicks"]) == (200, 1)


@contextmanager
def an_answer_lost(part: object, name: str, **facts: Any) -> Iterator[None]:
    """The first call of this method of a part is heard, and its answer is lost."""
    method = getattr(part, name)

    def lose(*args: Any, **kwargs: Any) -> None:
        patch.undo()
        method(*args, **kwargs)
        raise StoreUnavailable("Redis does not answer.", **facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, name, lose)
        yield


def test_mail_that_comes_during_a_click_is_read_though_the_lease_seems_not_released(
    page: LiveClient, caplog: Any
) -> None:
    HOOKS["click"] = lambda: dispatch(page.instance, Push(state={"a": "70"}))
    with an_answer_lost(services().store, "release"):
        page.click("click")
    assert (page.state["clicks"], page.state["a"]) == (1, 70)
    said = f"The lease of instance {page.instance} is released later: Redis does not answer."
    assert [one.getMessage() for one in caplog.records if one.name == "htmx_live.runtime"] == [said]


def test_an_outage_counts_the_leases_that_were_not_released(page: LiveClient) -> None:
    outage = Outage()
    with an_answer_lost(services().store, "release", outage=outage):
        page.click("click")
    assert outage.summary().endswith("failed meanwhile: 1 releases of leases")


def test_a_letter_that_is_posted_is_read_when_the_store_is_back(page: LiveClient) -> None:
    with away(services().store, "acquire"):
        dispatch(page.instance, Push(state={"a": "70"}))
    page.advance(5)
    assert page.state["a"] == 70


def test_a_job_whose_start_was_saved_though_the_answer_was_lost_ends(page: LiveClient) -> None:
    with an_answer_lost(services().store, "save"):
        page.send("start", {"job": "set_a"})
    assert (page.status, len(services().store.load(page.instance).record.jobs)) == (503, 1)  # type: ignore[union-attr]
    page.advance(2)
    assert (page.run_jobs(), page.pending, page.state["a"]) == (0, [], 0)
    assert [end.split()[1] for end in page.state["ended"]] == ["refused"]


def test_a_push_to_others_is_made_good(page: LiveClient, live: Live) -> None:
    other = live(Work)
    page.send("start", {"job": "set_a"})
    with away(services().store, "enqueue"):
        schedule_turn(other.instance)
        page.send("tell_others", {})
    page.advance(1)
    assert (page.status, other.state["a"]) == (200, 70)


# Jobs


def test_a_job_that_ends_while_the_store_is_away_ends_when_it_is_back(page: LiveClient) -> None:
    """The hand-over waits on the job's own thread, for as long as it takes."""
    page.send("start", {"job": "set_b", "name": "job"})
    tried = threading.Semaphore(0)
    post = services().store.enqueue
    is_away = True

    def posting(*args: Any, **kwargs: Any) -> int:
        tried.release()
        if is_away:
            raise StoreUnavailable("Redis does not answer.")
        return post(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services().store, "enqueue", posting)
        thread = threading.Thread(target=page.run_jobs)
        thread.start()
        for _ in range(3):
            assert tried.acquire(timeout=30)
        is_away = False
        thread.join(30)
    assert (page.state["b"], page.state["ended"], page.pending) == (1, ["job: 42"], [])


def test_what_a_job_writes_waits_for_the_bus(page: LiveClient) -> None:
    calls: list[str] = []
    append = services().bus.append

    def appending(channels: Any, target: str, text: str, **kwargs: Any) -> int:
        calls.append(text)
        if len(calls) <= 2:
            raise StoreUnavailable("Redis does not answer.")
        return append(channels, target, text, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services().bus, "append", appending)
        page.send("start", {"job": "tell", "name": "job"})
        page.run_jobs()
    assert services().bus.text(f"live-{page.instance}-s-log").text == "one <two> three"  # type: ignore[union-attr]
    assert page.state["ended"] == ["job: None"]


def test_a_store_that_is_away_says_nothing_about_a_cancel(page: LiveClient) -> None:
    page.send("start", {"job": "check_between", "name": "job"})
    patch = pytest.MonkeyPatch()

    def fail(*args: Any) -> Any:
        raise StoreUnavailable("Redis does not answer.")

    HOOKS["between"] = lambda: patch.setattr(services().store, "load", fail)
    HOOKS["after"] = patch.undo
    page.run_jobs()
    assert (page.state["a"], page.state["b"]) == (1, 1)


# This process's parts


def test_parts_first_built_for_one_test_are_not_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htmx_live.runtime.services._services", None)
    with override_services() as chosen:
        assert services() is chosen
    assert services().store is not chosen.store


# Forked processes


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_builds_its_own_parts() -> None:
    before = services()
    child = os.fork()
    if not child:
        done = threading.Event()
        services().turn_pool.submit(done.set)
        services().timer.call_at(0, done.set)
        os._exit(0 if done.wait(30) and services() is not before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert services() is before
