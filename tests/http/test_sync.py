"""Sync: a page says what it has, and gets what it lacks."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from htmx_live.core.exceptions import ArgumentsTooLarge, MalformedArguments
from htmx_live.http.sync import SyncRequest, destroy_absent, parse_sync
from htmx_live.runtime.services import services
from htmx_live.testing import LiveClient
from tests.sample_views import Counter, Report, Rows
from tests.working_views import Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


# The question


def test_a_question_is_read() -> None:
    roots = [{"live": "g", "rev": 2, "state": "d"}]
    body = {"number": "e.1", "roots": roots, "streams": {"s": "a.1"}, "adopt": ["h"], "poll": True}
    assert parse_sync(json.dumps(body).encode()) == SyncRequest(
        number="e.1", roots=[("g", 2)], states={"g": "d"}, streams={"s": "a.1"}, reattach=["h"], is_polling=True
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"roots": [1]}', b'{"roots": [{"live": "g"}]}', b'{"adopt": 1}'])
def test_what_is_no_question_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedArguments):
        parse_sync(body)


def test_a_question_that_is_too_long_is_refused() -> None:
    with pytest.raises(ArgumentsTooLarge):
        parse_sync(b" " * 10_000_000)


# The answer


def test_a_page_that_lacks_nothing_is_told_nothing(live: Live) -> None:
    assert live(Counter).sync().status == 204


def test_a_page_that_missed_a_push_gets_the_newest_render(live: Live) -> None:
    page = live(Work)
    page.send("start", {"job": "set_a", "name": "job"})
    page.disconnect().run_jobs()
    assert (page.text[0], page.is_loading("start")) == ("0", True)
    page.sync()
    assert (page.status, page.text[0], page.is_loading("start")) == (200, "1", False)


def test_what_a_text_stream_lacks_follows_the_partials(live: Live) -> None:
    page = live(Report).disconnect()
    page.send("write", {})
    page.run_jobs()
    page.sync()
    assert "one two <three>" in page.text or "one two &lt;three&gt;" in page.html


def test_a_polling_page_reads_its_messages(live: Live) -> None:
    page = live(Work).disconnect()
    page.send("start", {"job": "say_something", "name": "job"})
    page.run_jobs()
    page.sync(poll=True)
    assert page.notices == [{"message": "Half of it is done.", "level": "info"}]
    assert page.pending == []


def test_a_polling_page_is_sent_where_its_job_redirects(live: Live) -> None:
    page = live(Work).disconnect()
    page.send("start", {"job": "leave", "name": "job"})
    page.run_jobs()
    page.sync(poll=True)
    assert page.redirected_to == "/elsewhere/"


def test_a_polling_page_counts_as_looked_at(live: Live) -> None:
    page = live(Counter).disconnect()
    page.advance(1000)
    page.sync(poll=True)
    assert services().store.is_viewed(page.instance)


def test_a_record_lives_on_while_its_page_polls(live: Live) -> None:
    page = live(Counter).disconnect()
    page.click("add", amount=2)
    for _ in range(10):
        page.advance(1700)
        page.sync(poll=True)
    assert (page.is_remounted, page.text) == (False, "2 Add")


def test_a_user_without_permission_is_refused(live: Live, monkeypatch: Any) -> None:
    page = live(Counter, raise_errors=False)
    monkeypatch.setattr(Counter, "has_permission", lambda self: False)
    assert page.sync().status == 403


# What a page names no more


def load_more(page: LiveClient) -> str:
    """Let plain htmx load the view once more into the page; the instance, which the page's own root is not."""
    answer = page.http.get("/", headers=page._page_headers()).content.decode()
    match = re.search(r'id="live-(\w+)" data-live=', answer)
    assert match is not None
    return match[1]


def age(instance: str) -> None:
    """Let an instance have been mounted a minute ago."""
    store = services().store
    lease, loaded = store.acquire(instance, wait=1), store.load(instance)
    assert lease is not None and loaded is not None
    record = loaded.record
    assert store.save(replace(record, granted_at=record.granted_at - 60, rev=record.rev + 1), lease=lease)
    store.release(lease)


def is_there(instance: str) -> bool:
    return services().store.load(instance) is not None


def test_what_a_page_names_no_more_ends(live: Live) -> None:
    page = live(Counter)
    gone = load_more(page)
    for instance in (page.instance, gone):
        age(instance)
    page.sync()
    assert (is_there(page.instance), is_there(gone)) == (True, False)


def test_what_was_mounted_a_moment_ago_may_still_be_on_its_way(live: Live) -> None:
    page = live(Counter)
    arriving = load_more(page)
    page.sync()
    assert is_there(arriving)


def test_a_page_that_a_link_replaces_again_and_again_keeps_its_newest_views(live: Live) -> None:
    page = live(Counter)
    for _ in range(10):
        age(load_more(page))
    newest = load_more(page)
    page.sync()
    (page_id,) = services().store.load(newest).record.pages  # type: ignore[union-attr]
    assert set(services().store.instances_on(page_id)) == {page.instance, newest}


def test_a_running_job_keeps_what_is_named_no_more_until_it_ends(live: Live) -> None:
    page = live(Work).send("start", {"job": "set_a", "name": "job"})
    instance, record = page.instance, services().store.load(page.instance).record  # type: ignore[union-attr]
    destroy_absent(record.pages[0], set(), now=record.granted_at + 60)
    assert is_there(instance)
    page.run_jobs()
    destroy_absent(record.pages[0], set(), now=record.granted_at + 60)
    assert not is_there(instance)


def test_children_end_with_their_parent_and_stay_with_it(live: Live) -> None:
    page = live(Rows)
    record = services().store.load(page.instance).record  # type: ignore[union-attr]
    children, later = record.own_children(), record.granted_at + 60
    destroy_absent(record.pages[0], {page.instance}, now=later)
    destroy_absent(record.pages[0], {next(iter(children))}, now=later)
    assert all(map(is_there, [page.instance, *children]))
    destroy_absent(record.pages[0], set(), now=later)
    assert not any(map(is_there, [page.instance, *children]))


def test_what_another_page_shows_too_stays(live: Live) -> None:
    page = live(Counter).reload()
    record = services().store.load(page.instance).record  # type: ignore[union-attr]
    assert len(record.pages) == 2
    destroy_absent(record.pages[-1], set(), now=record.granted_at + 60)
    assert is_there(page.instance)


def test_a_root_that_comes_back_is_mounted_again_under_its_id(live: Live) -> None:
    page = live(Counter)
    instance = page.instance
    record = services().store.load(instance).record  # type: ignore[union-attr]
    destroy_absent(record.pages[0], set(), now=record.granted_at + 60)
    page.click("add", amount=2)
    assert (page.instance, page.is_remounted, page.text, page.rev > record.rev) == (instance, True, "0 Add", True)


# What is lost


def lost(page: LiveClient, **changed: Any) -> str:
    """The header of an answer to a page whose record is gone; ``changed`` is what the page says of its root."""
    services().store.delete(page.instance)
    root = page._synced_page.root.attributes
    said = {"live": root["data-live"], "rev": page.rev, "state": root["data-live-state"], **changed}
    body = {"roots": [said], "streams": changed.pop("streams", {})}
    answer = page.http.post("/live/sync/", body, content_type="application/json", headers=page._page_headers())
    page._apply_response(answer)
    assert page.is_remounted
    return str(answer.get("X-Live-Lost", ""))


def test_a_page_is_told_of_a_loss_if_it_had_another_state_than_a_fresh_view(live: Live, settings: Any) -> None:
    page = live(Counter)
    assert (lost(page), lost(page.click("add", amount=2)), lost(page), lost(page, state="")) == ("", "1", "", "1")
    settings.DEBUG = True
    assert lost(page.click("add", amount=2)) == ""


def test_a_running_job_and_the_text_of_a_stream_are_losses(live: Live) -> None:
    page = live(Work)
    own = f"live-{page.instance}-s-log"
    assert [lost(page, streams={own: at}) for at in ("0.0", "a1.0", "a1.10")] == ["", "", "1"]
    assert lost(live(Work, start="set_a")) == ""  # it runs again
    page.send("start", {"_args": '{"job": "set_a"}'})
    assert 'data-live-pending="start:' in page.html
    assert lost(page) == "1"
