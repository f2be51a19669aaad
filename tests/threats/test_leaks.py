"""Leaks: no text of an exception, no name of ours and no argument in what a browser or a log gets."""

import logging

import pytest
from django.test import Client

from tests.threats.visitor import Visitor, record_of

pytestmark = pytest.mark.django_db

SECRETS = [
    "secret detail",
    "RuntimeError",
    "Traceback",
    "tests.sample_views",
    "/endpoints.py",
    "site-packages",
    "HtmxLiveError",
]


def failures(page):
    """Every kind of refusal, as the script and as a form meet it."""
    form = {"_live": page.live, "csrfmiddlewaretoken": page.csrf}
    plain = {"X_Live": None, "X_Live_Page": None, "X_CSRFToken": None}
    for handler, values in [
        ("fail", None),
        ("unknown", None),
        ("add", {"amount": "x"}),
        ("add", "{"),
        ("add", "x" * 200_000),
    ]:
        yield page.event(handler, values)
        yield page.event(handler, values, form=form, **plain)
    yield page.event("add", X_Live="forged")
    yield page.event("add", form=form | {"_live": "forged"}, **plain)
    yield page.sync(b"{")


def test_no_answer_tells_what_went_wrong_inside():
    for answer in failures(Visitor().open()):
        assert 400 <= answer.status_code <= 500
        told = answer.content.decode() + str(answer.headers)
        assert [secret for secret in SECRETS if secret in told] == []


def test_a_failure_is_told_by_an_id_that_stands_in_the_log(caplog):
    page = Visitor().open()
    answer = page.event("fail")
    record = next(record for record in caplog.records if record.name == "htmx_live.http")
    assert (answer.status_code, answer.content) == (500, b"")
    assert answer["X-Live-Error"] in record.getMessage()
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("handler", ["fail", "unknown", "refuse"])
def test_a_form_without_javascript_gets_a_page_in_words(handler):
    page = Visitor().open()
    form = {"_live": page.live, "csrfmiddlewaretoken": page.csrf}
    answer = page.event(handler, form=form, X_Live=None, X_Live_Page=None, X_CSRFToken=None)
    assert answer.status_code == {"fail": 500, "unknown": 404, "refuse": 422}[handler]
    assert answer["Content-Type"].startswith("text/html")
    assert '<main role="alert">' in answer.content.decode()


def test_a_users_error_is_escaped_on_that_page():
    page = Visitor().open("/guestbook/")
    form = {"_live": page.live, "csrfmiddlewaretoken": page.csrf, "text": '"><svg onload=alert(1)>'}
    answer = page.event("refuse", form=form, X_Live=None, X_Live_Page=None, X_CSRFToken=None)
    assert answer.status_code == 422
    assert b"<svg" not in answer.content


def test_a_job_that_failed_shows_no_text_of_its_exception(stage, settings):
    page = Visitor().open("/report/")
    page.event("breaks")
    stage.runner.run_all()
    told = "".join(message.data for message in stage.transport.messages)
    assert "Something went wrong." in told
    assert "secret detail" not in told
    assert "secret detail" not in str(record_of(page).state)


def test_arguments_do_not_stand_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    page = Visitor().open("/guestbook/")
    for values in ({"text": ["hunter2"]}, {"text": "hunter2\0"}, ["hunter2", "hunter2"], '{"text": "hunter2"'):
        assert page.event("write", values).status_code in (400, 422)
    page.event("write", {"text": "hunter2"})
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("name", ["x%0AERROR forged", "x%0D%0AERROR forged", "x%1B[31m", "x%C2%9B31m", "x%E2%80%A8y"])
def test_what_a_browser_sends_never_becomes_a_line_of_the_log(caplog, name):
    page = Visitor().open("/guestbook/")
    assert page.event(name).status_code == 404
    page.event("collect", {"a\x85b\x9b": "\0"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("htmx_live")]
    assert len(ours) == 2
    assert all(message.isprintable() for message in ours)


def test_a_csrf_failure_says_neither_the_reason_nor_the_handler() -> None:
    answer = Client(enforce_csrf_checks=True).post("/live/event/add/")
    assert answer.status_code == 403
    assert b"out of date" in answer.content
    assert b"cookie" not in answer.content
    assert b"event/add" not in answer.content
