"""What turns run inside: language, time zone, prefix, the project's own context, and transactions."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.test import RequestFactory
from django.urls import get_script_prefix
from django.utils import timezone, translation

from htmx_live import LiveView, background, event_handler
from htmx_live.core.records import Owner, Record
from htmx_live.runtime.request_context import activate, request_fields, run_after_commit, synthetic_request
from htmx_live.runtime.services import services
from htmx_live.testing import LiveClient
from tests.working_views import HOOKS, Around, step

Live = Callable[..., LiveClient]
TENANT: ContextVar[str] = ContextVar("tenant", default="none")


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


def record(**fields: Any) -> Record:
    return Record(**{"instance": "i", "view": "v", "owner": Owner(), "host": "shop.example", **fields})


@contextmanager
def tenant(record: Record) -> Iterator[None]:
    token = TENANT.set(record.host)
    try:
        yield
    finally:
        TENANT.reset(token)


# Around


def test_language_zone_and_prefix_are_the_records_and_are_put_back() -> None:
    with activate(record(language="de", time_zone="Asia/Tokyo", script_prefix="/shop/")):
        inside = (translation.get_language(), timezone.get_current_timezone_name(), get_script_prefix())
    after = (translation.get_language(), timezone.get_current_timezone_name(), get_script_prefix())
    assert (inside, after) == (("de", "Asia/Tokyo", "/shop/"), ("en", "UTC", "/"))


@pytest.mark.parametrize(
    "zone", ["Asia/Tokyo", dt.UTC, timezone.get_fixed_timezone(-90), timezone.get_fixed_timezone(330)]
)
def test_a_time_zone_of_any_kind_is_found_again(zone: Any) -> None:
    moment = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    with timezone.override(zone):
        expected, facts = timezone.localtime(moment).isoformat(), request_fields(RequestFactory().get("/"))
    with activate(record(time_zone=facts["time_zone"])):
        assert timezone.localtime(moment).isoformat() == expected


def test_events_jobs_and_ends_see_the_surroundings_of_the_page(live: Live) -> None:
    with translation.override("de"), timezone.override("Asia/Tokyo"):
        page = live(Around)
    for handler in ("look", "look_later", "look_later_async"):
        page.send(handler, {})
        page.run_jobs()
    place = "de Asia/Tokyo"
    assert page.state["seen"] == [
        f"event {place} POST",
        f"job {place} GET",
        f"end {place} GET",
        f"async {place} GET",
        f"end {place} GET",
    ]


def test_every_render_sees_the_same_request(live: Live) -> None:
    page = live(Around)
    first = page.text
    page.send("look", {})
    assert (first, page.text.split(" event")[0]) == ("en UTC GET", "en UTC GET")


@pytest.mark.parametrize("handler", ["look", "look_later", "look_later_async"])
def test_the_projects_context_is_around_every_turn_and_job(live: Live, settings: Any, handler: str) -> None:
    settings.HTMX_LIVE = {"TURN_CONTEXT": "tests.runtime.test_request_context.tenant"}
    seen: list[str] = []

    class Spy:
        def __str__(self) -> str:
            seen.append(TENANT.get())
            return ""

    place = Around.place
    try:
        Around.place = lambda self: f"{Spy()}{TENANT.get()}"  # type: ignore[method-assign]
        page = live(Around).send(handler, {})
        page.run_jobs()
    finally:
        Around.place = place  # type: ignore[method-assign]
    assert set(seen) == {"testserver"} and all("testserver" in one for one in page.state["seen"])
    assert TENANT.get() == "none"


# The stand-in


def test_the_stand_in_is_a_get_of_the_page() -> None:
    request = synthetic_request(
        record(host="shop.example:8443", secure=True, path="/shop/ü/", query="a=1", script_prefix="/shop/")
    )
    assert request.method == "GET"
    assert request.build_absolute_uri() == "https://shop.example:8443/shop/%C3%BC/?a=1"
    assert (request.path_info, dict(request.GET)) == ("/ü/", {"a": ["1"]})
    assert not hasattr(request, "session") and not hasattr(request, "_messages")


def test_the_stand_in_of_a_visitor_has_an_anonymous_user() -> None:
    assert synthetic_request(record()).user.is_anonymous


@pytest.mark.django_db
def test_the_stand_ins_user_is_read_when_it_is_used(django_assert_num_queries: Any) -> None:
    user = User.objects.create(username="ada")
    with django_assert_num_queries(0):
        request = synthetic_request(record(owner=Owner(user=str(user.pk))))
    with django_assert_num_queries(1):
        assert request.user == user


@pytest.mark.django_db
def test_the_stand_in_of_a_user_who_may_not_log_in_any_more_is_anonymous() -> None:
    user = User.objects.create(username="ada", is_active=False)
    assert synthetic_request(record(owner=Owner(user=str(user.pk)))).user.is_anonymous


# Transactions


class Ledger(LiveView):
    """Writes to the database; shows how many users there are."""

    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = User.objects.count()
        step("mounted")

    @event_handler
    def add(self, name: str, fails: bool = False) -> None:
        User.objects.create(username=name)
        self.count = User.objects.count()
        transaction.on_commit(lambda: step("committed"))
        if fails:
            raise RuntimeError("after the write")

    @event_handler
    @background
    def work(self) -> None:
        self.count = 100

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        User.objects.create(username="written by the end")
        step("end")


@pytest.fixture
def atomic(transactional_db: None) -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_a_handler_that_fails_rolls_back_and_saves_and_sends_nothing(atomic: None, live: Live) -> None:
    page = live(Ledger, raise_errors=False)
    page.send("add", {"name": "ada", "fails": "1"})
    assert (page.status, User.objects.count(), page.state["count"], page.rev, page.fragments) == (500, 0, 0, 1, [])


def test_a_commit_that_fails_saves_and_sends_nothing(atomic: None, live: Live, monkeypatch: Any) -> None:
    page = live(Ledger, raise_errors=False)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", _fail)
        page.send("add", {"name": "ada"})
    assert (page.status, User.objects.count(), page.state["count"], page.rev, page.fragments) == (500, 0, 0, 1, [])


def _fail() -> None:
    raise OperationalError("the commit failed")


def test_on_commit_runs_when_the_turn_is_committed_and_before_the_answer(atomic: None, live: Live) -> None:
    page, seen = live(Ledger), []
    HOOKS["committed"] = lambda: seen.append((connection.in_atomic_block, page.rev))
    page.send("add", {"name": "ada"})
    assert (seen, page.rev, page.text) == ([(False, 1)], 2, "1")


def test_a_result_handler_that_fails_takes_its_writes_back_and_the_jobs_changes_stay(atomic: None, live: Live) -> None:
    page = live(Ledger)
    HOOKS["end"] = lambda: 1 / 0
    page.send("work", {})
    page.run_jobs()
    assert (User.objects.count(), page.text, page.pending) == (0, "100", [])


def test_a_commit_that_fails_in_the_background_still_ends_the_job(atomic: None, live: Live, monkeypatch: Any) -> None:
    page = live(Ledger)
    page.send("work", {})
    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", _fail)
        page.run_jobs(raise_errors=False)
    assert (page.pending, User.objects.count()) == ([], 0)
    assert page.text.startswith("Something went wrong. (error ")
    page.send("add", {"name": "ada"})
    assert page.text == "1"


def test_a_page_whose_request_is_rolled_back_leaves_no_record(atomic: None, live: Live, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", _fail)
        live(Ledger, raise_errors=False)
    store: Any = services().store
    assert len(store._entries) == 0


@pytest.mark.django_db(transaction=True)
def test_a_call_waits_for_the_commit_and_is_dropped_by_a_rollback() -> None:
    calls: list[str] = []
    with transaction.atomic():
        assert not run_after_commit(lambda: calls.append("committed"))
        assert calls == []
    with pytest.raises(ValueError), transaction.atomic():
        run_after_commit(lambda: calls.append("rolled back"))
        raise ValueError
    assert run_after_commit(lambda: calls.append("at once"))
    assert calls == ["committed", "at once"]


@pytest.mark.django_db
def test_the_transaction_around_a_test_does_not_count() -> None:
    calls: list[str] = []
    assert run_after_commit(lambda: calls.append("at once"))
    assert calls == ["at once"]
