"""Mounting: a view's first turn, taken over by the next page load, and mounted again when its record is gone."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import translation

from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.exceptions import StateError
from htmx_live.core.signing import ViewGrant, unsign_view
from htmx_live.runtime import processes
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient
from tests.sample_views import Counter, Private, Rows
from tests.working_views import HOOKS, Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


def lose(page: LiveClient) -> LiveClient:
    """The record is gone, as after its time."""
    services().store.delete(page.instance)
    return page


# Mounting


def test_a_view_is_mounted_with_its_arguments_at_rev_one(live: Live) -> None:
    page = live(Counter, start=4)
    assert (page.text, page.rev, page.state) == ("4 Add", 1, {"count": 4, "_secret": "kept, not shown"})


def test_hidden_state_does_not_reach_the_page(live: Live) -> None:
    assert "kept, not shown" not in live(Counter).html


def test_arguments_that_cannot_be_kept_are_refused_by_name(live: Live) -> None:
    with pytest.raises(StateError, match=r"the argument start of Counter is a builtins.object"):
        live(Counter, start=object())


def test_two_loads_of_a_page_are_two_instances(live: Live) -> None:
    page = live(Counter)
    first = page.instance
    page.reload(adopt=False)
    assert page.instance != first


def test_what_mount_says_is_shown(live: Live, monkeypatch: Any) -> None:
    mount = Counter.mount
    monkeypatch.setattr(
        Counter, "mount", lambda self, request, **kw: (mount(self, request), self.notify("Welcome."))[0]
    )
    assert live(Counter).notices == [{"message": "Welcome.", "level": "info"}]


def test_a_redirect_from_mount_stores_nothing(live: Live, monkeypatch: Any) -> None:
    monkeypatch.setattr(Counter, "mount", lambda self, request, **kwargs: self.redirect("/elsewhere/"))
    page = live(Counter)
    store: Any = services().store
    assert (page.status, page.redirected_to, len(store._entries)) == (302, "/elsewhere/", 0)


def test_a_view_that_fails_in_mount_stores_nothing(live: Live, monkeypatch: Any) -> None:
    monkeypatch.setattr(Counter, "mount", lambda self, request, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        live(Counter)
    store: Any = services().store
    assert len(store._entries) == 0


@pytest.mark.django_db
def test_a_visitor_without_permission_is_sent_to_log_in_and_a_user_may_mount(live: Live) -> None:
    assert live(Private, path="/private/?a=1").redirected_to == "/login/?next=/private/%3Fa%3D1"
    assert live(Private, user=User.objects.create(username="ada")).text == "0 Add"


# Adopting


def test_a_reload_takes_over_the_instance_and_its_jobs(live: Live) -> None:
    page = live(Work)
    page.send("set", {"value": 5})
    page.send("start", {"job": "set_b", "name": "job"})
    before = page.instance
    page.reload()
    assert (page.instance, page.pending, page.state["a"]) == (before, [("start", "job")], 5)
    page.run_jobs()
    assert (page.state["b"], page.pending) == (1, [])


def test_the_instance_that_the_reload_mounted_is_gone(live: Live) -> None:
    page = live(Counter)
    page.reload()
    store: Any = services().store
    assert list(store._entries) == [page.instance]


def test_a_reload_with_other_arguments_takes_over_nothing(live: Live) -> None:
    one, two = live(Counter, start=1), live(Counter, start=2)
    two.sync(adopt=[one._synced_page.root.attributes["data-live"]])
    assert two.text == "2 Add"


def test_adoption_takes_over_the_language_of_the_new_load(live: Live) -> None:
    page = live(Counter)
    with translation.override("de"):
        page.reload()
    loaded = services().store.load(page.instance)
    assert loaded is not None and (loaded.record.language, loaded.record.rev) == ("de", 2)


def test_an_instance_that_is_adopted_tells_both_pages_of_changes(live: Live) -> None:
    page = live(Counter)
    page.reload()
    loaded = services().store.load(page.instance)
    assert loaded is not None and len(loaded.record.pages) == 2


def test_children_that_are_gone_keep_no_parent_from_being_adopted(live: Live) -> None:
    page = live(Rows)
    loaded = services().store.load(page.instance)
    assert loaded is not None
    before = page.instance
    services().store.delete(next(iter(loaded.record.children.values()))[0])
    page.reload()
    assert page.instance == before
    page.send("show", {"_args": '{"pks": [2, 1]}'})
    assert page.html.count("<li ") == 2


# Mounting again


def test_an_event_on_a_record_that_is_gone_mounts_again_and_does_not_run(live: Live) -> None:
    page = live(Counter, start=3)
    page.click("add", amount=2)
    instance = lose(page).instance
    page.click("add", amount=2)
    assert (page.status, page.is_remounted, page.text, page.instance, page.rev) == (200, True, "3 Add", instance, 3)


def test_a_view_that_was_mounted_again_works(live: Live) -> None:
    page = lose(live(Counter)).click("add", amount=2)
    page.click("add", amount=2)
    assert (page.is_remounted, page.text, page.rev) == (False, "2 Add", 3)


def test_sync_mounts_again_what_is_gone(live: Live) -> None:
    page = lose(live(Counter, start=3)).sync()
    assert (page.status, page.is_remounted, page.text, page.rev) == (200, True, "3 Add", 2)


def test_of_two_questions_the_second_finds_what_the_first_has_made(live: Live) -> None:
    page = lose(live(Counter))
    old = page.html
    page.sync()
    page.send("add", {})
    page._synced_page.html = old
    page.sync()
    assert (page.text, page.rev) == ("1 Add", 3)


def test_after_a_restart_pages_are_mounted_again(live: Live) -> None:
    page = live(Counter, start=3)
    with override_services(store=MemoryStore()):
        page.click("add", amount=2)
        assert (page.is_remounted, page.text) == (True, "3 Add")
        page.click("add", amount=2)
        assert (page.is_remounted, page.text) == (False, "5 Add")


def test_after_any_number_of_restarts_in_a_row_pages_are_mounted_again(live: Live, caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    page = live(Counter, start=3)
    for _ in range(12):
        with override_services(store=MemoryStore()):
            page.sync()
            assert (page.status, page.is_remounted, page.click("add", amount=2).text) == (200, True, "5 Add")
    assert caplog.records == []


def test_a_page_whose_epoch_comes_back_is_refused_and_the_log_says_so_once(live: Live, caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    processes._reset_after_fork()
    page = live(Counter, raise_errors=False)
    with override_services(store=MemoryStore()):
        page.click("add", amount=2)
    for _ in range(3):
        page.click("add", amount=2)
        assert page.status == 410
    [line] = [record for record in caplog.records if record.name.startswith("htmx_live")]
    assert (line.levelname, "set HTMX_LIVE['REDIS_URL']" in line.message) == ("ERROR", True)


def test_a_grant_names_the_epochs_that_its_view_had_before(live: Live) -> None:
    page = lose(live(Counter)).sync()
    assert _grant(page).earlier_epochs == ()
    first, second = _grant(page).epoch, MemoryStore()
    with override_services(store=second):
        page.sync()
    assert (_grant(page).epoch, _grant(page).earlier_epochs) == (second.epoch, (first,))


def _grant(page: LiveClient) -> ViewGrant:
    return unsign_view(page._synced_page.root.attributes["data-live"], max_age=60)


def test_jobs_of_mount_run_again_when_the_view_is_mounted_again(live: Live) -> None:
    page = live(Work, start="set_a")
    lose(page).sync()
    page.run_jobs()
    assert (page.state["a"], page.state["ended"]) == (1, ["first: None"])
