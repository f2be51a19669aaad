"""Sync: a page says what it has, and gets what it lacks."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from htmx_live.exceptions import ArgumentsTooLarge, MalformedArguments
from htmx_live.runtime.parts import parts
from htmx_live.sync import Question, read_question
from htmx_live.testing import LiveClient

from .sample_views import Counter, Report
from .working_views import Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


# The question


def test_a_question_is_read() -> None:
    body = {"number": "e.1", "roots": [{"live": "g", "rev": 2}], "streams": {"s": "a.1"}, "adopt": ["h"], "poll": True}
    assert read_question(json.dumps(body).encode()) == Question(
        number="e.1", roots=[("g", 2)], streams={"s": "a.1"}, adopt=["h"], poll=True
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"roots": [1]}', b'{"roots": [{"live": "g"}]}', b'{"adopt": 1}'])
def test_what_is_no_question_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedArguments):
        read_question(body)


def test_a_question_that_is_too_long_is_refused() -> None:
    with pytest.raises(ArgumentsTooLarge):
        read_question(b" " * 10_000_000)


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
    assert parts().store.is_shown(page.instance)


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
