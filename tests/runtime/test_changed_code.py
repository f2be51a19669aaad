"""Records that code of another version has saved: the views are mounted again, whatever reaches them first."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from htmx_live import LiveView, event_handler, push_to_view
from htmx_live.runtime.services import services
from htmx_live.runtime.state import encode_state
from htmx_live.testing import LiveClient
from tests.sample_views import Board, Row, Rows

Live = Callable[..., LiveClient]


class Base(LiveView):
    async def mount(self, request: Any, **kwargs: Any) -> None:
        self.from_base = 1


class Sale(Base):
    """Once it kept ``n`` where it keeps ``amount``."""

    template_name = "views/sale.html"
    tick_interval = 1000
    discount = 0

    async def mount(self, request: Any, staff: bool = False, **kwargs: Any) -> None:
        await super().mount(request)
        self._reset()
        self.first, (self.second, *self.others) = 1, [2, 3]
        self.kept = [self.from_base for _ in range(2)]
        self.discount = 5
        if staff:
            self.secret = "for staff"
        setattr(self, "hid" + "den", 7)
        self.start_async(self._work, name="mounted")

    def _reset(self) -> None:
        self.amount: int = 0

    @event_handler
    def add(self, number: int = 1) -> None:
        self.amount += number

    @event_handler
    def drop(self) -> None:
        del self.first

    @event_handler
    def read_hidden(self) -> None:
        self.amount = self.hidden  # type: ignore[attr-defined]

    @event_handler
    def work(self) -> None:
        self.start_async(self._work, name="work")

    def _work(self) -> None:
        self.result = self.amount

    def handle_tick(self) -> None:
        self.amount += 100

    def hear_hidden(self) -> None:
        self.amount = self.hidden  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture
def sale(live: Live) -> LiveClient:
    page = live(Sale)
    page.run_jobs()
    return page.send("add", {"number": 3})


def saved_by_other_code(instance: str, **state: Any) -> None:
    """Give the instance the ``state`` that code of another version left."""
    store = services().store
    lease, loaded = store.acquire(instance, wait=0), store.load(instance)
    assert lease is not None and loaded is not None
    record = replace(loaded.record, rev=loaded.record.rev + 1, state=encode_state(state), unset=())
    assert store.save(record, lease=lease)
    store.release(lease)


def is_mounted_again(page: LiveClient) -> bool:
    return page.state["amount"] == 0 and page.is_remounted and "amount 0" in page.text


def test_all_that_mount_and_what_it_calls_assigns_is_found() -> None:
    assert Sale._mount_names == {"from_base", "amount", "first", "second", "others", "kept", "secret"}


def test_an_event_mounts_the_view_again_and_its_user_hears_of_it_once(sale: LiveClient, caplog: Any) -> None:
    before = sale.instance
    saved_by_other_code(sale.instance, n=3)
    with caplog.at_level(logging.WARNING):
        sale.send("add", {"number": 2})
    assert (sale.status, sale.instance, is_mounted_again(sale)) == (200, before, True)
    [line] = [record.getMessage() for record in caplog.records]
    assert "Its state lacks amount, first, from_base" in line
    sale.send("add", {"number": 2})
    assert (sale.status, sale.is_remounted, sale.state["amount"]) == (200, False, 2)


def test_a_push_has_the_page_ask_and_mount_again(sale: LiveClient) -> None:
    saved_by_other_code(sale.instance, n=3)
    push_to_view(Sale)
    assert is_mounted_again(sale)
    push_to_view(Sale, state={"amount": 8})
    assert "amount 8" in sale.text


def test_a_tick_has_the_page_ask_and_mount_again(sale: LiveClient) -> None:
    saved_by_other_code(sale.instance, n=3)
    sale.tick()
    assert is_mounted_again(sale)
    assert sale.tick().state["amount"] == 100


def test_a_job_that_ends_has_the_page_ask_and_mount_again(live: Live) -> None:
    sale = live(Sale, raise_errors=False)
    sale.run_jobs()
    sale.send("work", {})
    saved_by_other_code(sale.instance, n=3)
    sale.run_jobs()  # it begins on that state
    assert (is_mounted_again(sale), sale.is_loading("work")) == (True, False)


def test_a_page_that_polls_mounts_again(sale: LiveClient) -> None:
    sale.disconnect()
    saved_by_other_code(sale.instance, n=3)
    push_to_view(Sale)
    assert is_mounted_again(sale.sync(poll=True))
    assert sale.sync(poll=True).status in (200, 204) and not sale.is_remounted


def test_a_reload_does_not_take_the_record_over(sale: LiveClient) -> None:
    before = sale.instance
    saved_by_other_code(sale.instance, n=3)
    sale.reload()
    assert (sale.state["amount"], sale.instance == before) == (0, False)
    assert sale.send("add", {"number": 2}).status == 200


def test_children_are_mounted_again_by_themselves_or_with_a_reload(live: Live) -> None:
    page = live(Rows)
    first, second = [root.attributes["id"].removeprefix("live-") for root in page._synced_page.roots()[1:]]
    page.send("bump", {}, root=f"live-{second}")
    saved_by_other_code(first, pk=1)
    page.send("bump", {}, root=f"live-{first}")
    assert (page.status, page.is_remounted, page.html.count("<li ")) == (200, True, 2)
    saved_by_other_code(second, pk=2)
    push_to_view(Row)
    assert page.is_remounted
    parent = page.instance
    saved_by_other_code(page._synced_page.roots()[1].attributes["id"].removeprefix("live-"), pk=1)
    page.reload()
    assert (page.instance, page.html.count("<li ")) == (parent, 2)
    root = page._synced_page.roots()[1].attributes["id"]
    assert (page.send("bump", {}, root=root).status, page.is_remounted) == (200, False)


@pytest.mark.parametrize("reach", ["load", "event", "push", "tick"])
def test_a_shared_view_is_mounted_again_for_all_its_viewers(live: Live, reach: str) -> None:
    one, other = live(Board), live(Board)
    one.click("add")
    saved_by_other_code(one.instance, total=1)
    if reach == "load":
        live(Board)
    elif reach == "event":
        one.send("add", {})
    elif reach == "push":
        push_to_view(Board)
    else:
        one.tick()
    assert (one.text, other.text) == ("0 Add", "0 Add")
    one.click("add")
    assert (one.text, other.text) == ("1 Add", "1 Add")


def test_what_mount_sets_in_one_branch_only_may_be_missing(live: Live) -> None:
    page = live(Sale)
    page.run_jobs()
    for _ in range(2):
        page.send("add", {"number": 2})
        assert not page.is_remounted
    page.send("drop", {})
    assert (page.send("add", {}).is_remounted, page.state["amount"]) == (False, 5)
    assert page.reload().state["amount"] == 5


def test_what_the_class_has_a_default_for_may_be_missing(sale: LiveClient) -> None:
    state = sale.state
    del state["discount"]
    saved_by_other_code(sale.instance, **state, secret="")
    assert (sale.send("add", {"number": 2}).is_remounted, sale.state["amount"]) == (False, 5)


@pytest.mark.parametrize("reach", ["event", "push"])
def test_a_reload_leaves_a_record_whose_last_turn_missed_an_attribute(live: Live, reach: str) -> None:
    page = live(Sale, raise_errors=False)
    page.run_jobs()
    state = page.state
    del state["hidden"]  # no reading of the code finds it
    saved_by_other_code(page.instance, **state, secret="")
    state = page.state
    before = page.instance
    if reach == "event":
        page.http.raise_request_exception = False
        assert page.send("read_hidden", {}).status == 500
        assert page.state == state  # the failed turn left no trace
    else:
        push_to_view(Sale, handler="hear_hidden")
    page.reload()
    assert page.instance != before
    assert (page.send("read_hidden", {}).status, page.state["amount"]) == (200, 7)


def test_a_handler_that_is_gone_is_404_and_changes_nothing(sale: LiveClient) -> None:
    saved_by_other_code(sale.instance, n=3)
    assert sale.send("increase", {}).status == 404
    assert sale.state == {"n": 3}
