"""Running panels side by side: real concurrency, time limits, threads and what they do with the database."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import RequestFactory, override_settings
from django.utils import translation
from django.utils.functional import SimpleLazyObject

from htmx_live.layouts import ConditionalPanel, Layout, Panel, PanelError, PanelRenderError, async_layout, cache
from htmx_live.layouts.conf import PanelTimeout
from htmx_live.layouts.threads import PanelThreads
from tests.layouts.conftest import Templates, Way, text

PATIENCE = 10.0  # seconds until a panel that waits for another fails the test

ASYNC = Way(is_async=True)


class Three(Layout):
    template = "three.html"

    def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
        return type(error.exception).__name__


@pytest.fixture(autouse=True)
def site(templates: Templates) -> None:
    panels = "|".join(f"{{% panel '{name}' %}}-{{% endpanel %}}" for name in "abc")
    templates(
        {"three.html": "{% load layouts %}" + panels, "user.html": "{{ request.user.username }} {{ users.count }}"}
    )


@pytest.fixture
def hang() -> Any:
    """An event that hanging panels wait for; set when the test is over, so that their threads end."""
    over = threading.Event()
    yield over
    over.set()


def meet(barrier: threading.Barrier, name: str) -> Callable[[HttpRequest], str]:
    """A sync panel that waits until the others are there."""

    def panel(request: HttpRequest) -> str:
        barrier.wait(PATIENCE)
        return name

    return panel


def test_three_sync_panels_run_side_by_side(get: Any) -> None:
    barrier = threading.Barrier(3)
    panels = {name: Panel(meet(barrier, name)) for name in "abc"}
    assert text(ASYNC.page(Three, get("/"), panels=panels)) == "a|b|c"


def test_three_async_panels_run_side_by_side(get: Any) -> None:
    arrived: list[str] = []
    everybody = asyncio.Event()

    def meeting(name: str) -> Any:
        async def panel(request: HttpRequest) -> str:
            arrived.append(name)
            if len(arrived) == 3:
                everybody.set()
            await asyncio.wait_for(everybody.wait(), PATIENCE)
            return name

        return panel

    panels = {name: Panel(meeting(name)) for name in "abc"}
    assert text(ASYNC.page(Three, get("/"), panels=panels)) == "a|b|c"


def test_sync_and_async_panels_run_side_by_side_in_one_page(get: Any) -> None:
    from_thread, from_loop = threading.Event(), threading.Event()

    def sync(request: HttpRequest) -> str:
        from_thread.set()
        assert from_loop.wait(PATIENCE)
        return "sync"

    async def on_loop(request: HttpRequest) -> str:
        from_loop.set()
        while not from_thread.is_set():
            await asyncio.sleep(0)
        return "async"

    panels = {"a": Panel(sync), "b": Panel(on_loop)}
    assert text(ASYNC.page(Three, get("/"), panels=panels)) == "sync|async|-"


@pytest.mark.parametrize("last", ["a", "b", "c"])
def test_html_stands_in_its_place_whatever_finishes_last(last: str, get: Any) -> None:
    others = threading.Barrier(3)

    def view(name: str) -> Any:
        def panel(request: HttpRequest) -> str:
            if name == last:
                others.wait(PATIENCE)
                return name
            threading.Thread(target=others.wait, args=(PATIENCE,)).start()
            return name

        return panel

    panels = {name: Panel(view(name)) for name in "cba"}
    assert text(ASYNC.page(Three, get("/"), panels=panels)) == "a|b|c"


def test_a_sync_page_runs_its_panels_in_its_own_thread_one_after_the_other(get: Any) -> None:
    ran: list[tuple[str, int]] = []
    panels = {
        name: Panel(lambda request, name: ran.append((name, threading.get_ident())) or "x", context={"name": name})
        for name in "abc"
    }
    Way(is_async=False).page(Three, get("/"), panels=panels)
    assert ran == [(name, threading.get_ident()) for name in "abc"]


@override_settings(HTMX_LIVE={"LAYOUTS": {"THREAD_SENSITIVE": True}})
def test_thread_sensitive_runs_sync_panels_in_the_requests_thread(get: Any) -> None:
    threads: list[int] = []
    panels = {name: Panel(lambda request: threads.append(threading.get_ident()) or "x") for name in "abc"}
    ASYNC.page(Three, get("/"), panels=panels)
    assert threads == [threading.get_ident()] * 3


def test_panels_run_in_the_language_of_their_page(get: Any) -> None:
    panels = {name: Panel(lambda request: translation.get_language() or "") for name in "abc"}
    with translation.override("de"):
        assert text(ASYNC.page(Three, get("/"), panels=panels)) == "de|de|de"


def test_panels_that_run_side_by_side_share_one_csrf_secret(get: Any) -> None:
    barrier = threading.Barrier(3)

    def form(request: HttpRequest) -> str:
        barrier.wait(PATIENCE)
        get_token(request)
        secret: str = request.META["CSRF_COOKIE"]
        return secret

    request = get("/")
    html = text(ASYNC.page(Three, request, panels={name: Panel(form) for name in "abc"}))
    assert html.split("|") == [request.META["CSRF_COOKIE"]] * 3
    assert request.META["CSRF_COOKIE_NEEDS_UPDATE"] is True


class RecordingSession(SessionBase):
    """Knows which threads read its data."""

    def __init__(self) -> None:
        super().__init__("k" * 32)
        self.readers: list[int] = []

    def load(self) -> dict[str, Any]:
        self.readers.append(threading.get_ident())
        return {}


def test_panels_share_what_they_write_to_the_session(get: Any) -> None:
    barrier = threading.Barrier(3)

    def panel(request: Any) -> str:
        barrier.wait(PATIENCE)
        request.session[threading.get_ident()] = "mine"
        return "x"

    request = get("/")
    request.session = RecordingSession()
    ASYNC.page(Three, request, panels={name: Panel(panel) for name in "abc"})
    assert request.session.readers == [threading.get_ident()]
    assert list(request.session.values()) == ["mine"] * 3


def test_a_page_that_does_not_use_the_session_does_not_say_so(get: Any) -> None:
    request = get("/")
    request.session = RecordingSession()
    ASYNC.page(Three, request, panels={"a": Panel(lambda request: "a")})
    assert (request.session.accessed, request.session.modified) == (False, False)


def test_without_a_form_no_csrf_cookie_is_asked_for(way: Way, get: Any) -> None:
    request = get("/")
    way.page(Three, request, panels={"a": Panel("x")})
    assert "CSRF_COOKIE_NEEDS_UPDATE" not in request.META


def hanging(over: threading.Event) -> Any:
    def panel(request: HttpRequest) -> str:
        over.wait()
        return "late"

    return panel


async def hanging_on_the_loop(request: HttpRequest) -> str:
    await asyncio.Event().wait()
    return "late"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hanging_panel_is_an_error_after_its_timeout(
    way: Way, get: Any, hang: threading.Event, is_async: bool
) -> None:
    view = hanging_on_the_loop if is_async else hanging(hang)
    panels = {"a": Panel("a"), "b": Panel(view, timeout=0.01), "c": Panel("c")}
    assert text(way.page(Three, get("/"), panels=panels)) == "a|PanelTimeout|c"


@pytest.mark.parametrize("is_async", [False, True])
def test_the_setting_limits_panels_without_a_timeout_of_their_own(
    get: Any, hang: threading.Event, is_async: bool
) -> None:
    view = hanging_on_the_loop if is_async else hanging(hang)
    with override_settings(HTMX_LIVE={"LAYOUTS": {"PANEL_TIMEOUT": 0.01}}):
        assert text(ASYNC.page(Three, get("/"), panels={"a": Panel(view)})) == "PanelTimeout|-|-"


def test_a_panel_that_cannot_be_cancelled_does_not_hold_the_page(get: Any) -> None:
    freed = asyncio.Event()

    async def stubborn(request: HttpRequest) -> str:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    async def visit() -> Any:
        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse("main")

        page = async_layout(Three, panels={"a": Panel(stubborn, timeout=0.01)})(view)
        response = await page(get("/"))
        freed.set()
        return response

    assert text(async_to_sync(visit)()) == "PanelTimeout|-|-"


@override_settings(HTMX_LIVE={"LAYOUTS": {"DEBUG_ERRORS": True}})
def test_a_timeout_says_what_can_be_done(way: Way, get: Any) -> None:
    with pytest.raises(PanelRenderError) as caught:
        way.page(Three, get("/"), panels={"a": Panel(hanging_on_the_loop, timeout=0.01)})
    error = caught.value.panel_error.exception
    assert isinstance(error, PanelTimeout) and isinstance(error, TimeoutError)
    assert str(error).startswith("Panel 'a' was not ready after 0.01 s. Give it more with Panel(timeout=…)")


def test_the_browser_going_away_cancels_async_panels() -> None:
    ended: list[str] = []

    async def visit() -> None:
        started = asyncio.Event()

        async def panel(request: HttpRequest) -> str:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")
            return "never"

        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse("main")

        page = asyncio.create_task(async_layout(Three, panels={"a": Panel(panel)})(view)(RequestFactory().get("/")))  # type: ignore[arg-type]
        await started.wait()
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page
        await asyncio.sleep(0)

    async_to_sync(visit)()
    assert ended == ["cancelled"]


@pytest.mark.django_db(transaction=True)
def test_lazy_database_reads_work_everywhere_in_an_async_page(get: Any, templates: Templates) -> None:
    """In the layout's hook and template, in conditions, in cache keys and in sync panels."""
    templates(
        {
            "three.html": "{% load layouts %}{% include 'user.html' %}|"
            "{% panel 'a' %}{% endpanel %}|{% panel 'b' %}-{% endpanel %}"
        }
    )
    ann = User.objects.create(username="ann")

    class Page(Three):
        def get_layout_context(self, request: HttpRequest) -> dict[str, Any]:
            return {"users": User.objects.all(), "is_staff": User.objects.filter(is_staff=True).exists()}

    request = get("/")
    request.user = SimpleLazyObject(lambda: User.objects.get(pk=ann.pk))
    panels = {
        "a": Panel(lambda request: User.objects.get().username, cache=cache.per_user(1)),
        "b": ConditionalPanel("b", condition=lambda context: context["users"].filter(is_staff=True).exists()),
    }
    assert text(ASYNC.page(Page, request, panels=panels)) == "ann 1|ann|-"


@pytest.mark.django_db(transaction=True)
def test_each_panel_thread_has_a_database_connection_of_its_own(get: Any) -> None:
    barrier = threading.Barrier(3)
    seen: list[Any] = [connections["default"]]

    def panel(request: HttpRequest) -> str:
        seen.append(connections["default"])
        barrier.wait(PATIENCE)
        return str(User.objects.count())

    User.objects.create(username="ann")
    assert text(ASYNC.page(Three, get("/"), panels={name: Panel(panel) for name in "abc"})) == "1|1|1"
    assert len({id(own) for own in seen}) == 4


def test_the_pool_runs_no_more_calls_at_once_than_its_size() -> None:
    threads = PanelThreads(lambda: 2)
    release, started = threading.Event(), threading.Semaphore(0)
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def call() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        started.release()
        release.wait(PATIENCE)
        with lock:
            running.pop()

    futures = [threads.submit(call) for _ in range(6)]
    assert started.acquire(timeout=PATIENCE) and started.acquire(timeout=PATIENCE)
    release.set()
    for future in futures:
        future.result(PATIENCE)
    assert max(most) == 2


def test_a_call_that_is_left_makes_room_for_the_next(hang: threading.Event) -> None:
    threads = PanelThreads(lambda: 1)
    started = threading.Event()

    def stuck() -> None:
        started.set()
        hang.wait()

    left = threads.submit(stuck)
    waiting: Future[int] = threads.submit(lambda: 7)
    assert started.wait(PATIENCE)
    assert left.cancel() is False
    assert waiting.result(PATIENCE) == 7


def test_no_more_calls_can_be_left_than_the_pool_is_large(hang: threading.Event) -> None:
    threads = PanelThreads(lambda: 1)
    started = threading.Semaphore(0)

    def stuck() -> None:
        started.release()
        hang.wait()

    for _ in range(2):
        future = threads.submit(stuck)
        assert started.acquire(timeout=PATIENCE)
        future.cancel()
    third = threads.submit(stuck)
    assert not third.running() and third.cancel()
    hang.set()
    assert threads.submit(lambda: 7).result(PATIENCE) == 7


def test_a_call_that_is_cancelled_before_it_starts_never_runs(hang: threading.Event) -> None:
    threads = PanelThreads(lambda: 1)
    ran: list[str] = []
    first = threads.submit(hang.wait)
    second = threads.submit(ran.append, "second")
    third = threads.submit(ran.append, "third")
    assert second.cancel()
    hang.set()
    assert first.result(PATIENCE) and third.result(PATIENCE) is None
    assert ran == ["third"]


def test_what_a_call_raises_reaches_whoever_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        PanelThreads(lambda: 1).submit(lambda: 1 / 0).result(PATIENCE)
