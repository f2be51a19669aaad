"""Arguments of any size, depth and kind: a clear status, and nothing changed."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.threats.visitor import Visitor, record_of, written

pytestmark = pytest.mark.django_db

DEEP = "[" * 2000 + "]" * 2000
MALFORMED = [
    "{", "null", "1", '"x"', "true", "[", DEEP, '{"amount":' + DEEP + "}", '{"amount":NaN}', '{"amount":Infinity}',
    '{"amount":-Infinity}', '{"amount":1e999}', '{"amount":' + "9" * 5000 + "}", "\0", "{'amount':1}", "﻿{}", "[1,]",
]  # fmt: skip
UNFIT = [
    {"amount": "x"}, {"amount": None}, {"amount": []}, {"amount": {}}, {"amount": 1.5}, {"amount": True},
    {"amount": 10**40}, {"amount": "٣" * 200}, {"amount": "1" * 101}, {"amount": "1e3"}, [1, 2], {"amount": [1]},
]  # fmt: skip


@pytest.mark.parametrize("values", MALFORMED, ids=lambda values: values[:20])
def test_what_is_no_json_of_arguments_is_400(values):
    page = Visitor().open()
    before = written(page)
    answer = page.event("add", values)
    assert (answer.status_code, answer.content, written(page)) == (400, b"", before)


@pytest.mark.parametrize("values", UNFIT, ids=lambda values: json.dumps(values)[:30])
def test_what_does_not_fit_is_422_and_names_the_parameter(values):
    page = Visitor().open()
    before = written(page)
    answer = page.event("add", values)
    assert (answer.status_code, answer.content, written(page)) == (422, b"", before)
    assert answer["X-Live-Field"] == ("_args" if isinstance(values, list) else "amount")


@pytest.mark.parametrize("size", [102_401, 1_000_000, 2_400_000])
def test_arguments_that_are_too_large_are_413(size):
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("write", {"text": "x" * size})
    assert (answer.status_code, answer.content, written(page)) == (413, b"", before)


def test_a_form_field_that_is_too_large_is_422():
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("write", form={"text": "x" * 102_401})
    assert (answer.status_code, answer["X-Live-Field"], written(page)) == (422, "text", before)


def test_a_body_beyond_djangos_own_limits_is_refused():
    page = Visitor().open("/guestbook/")
    before = written(page)
    fields = {f"f{n}": "x" for n in range(2000)}
    assert page.event("collect", form=fields).status_code in (400, 413)
    assert page.event("write", form={"text": "x" * 3_000_000}).status_code in (400, 413)
    assert page.sync({"roots": [], "adopt": ["x" * 3_000_000]}).status_code == 413
    assert written(page) == before


def test_a_state_that_has_grown_too_large_is_refused_and_the_last_one_stays():
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("write", {"text": "x" * 70_000})
    assert (answer.status_code, answer.content, written(page)) == (413, b"", before)


@pytest.mark.parametrize(
    "name", ["self", "_live", "__class__", "_args", "csrfmiddlewaretoken", "request", "calls", "helper"]
)
def test_a_name_that_is_not_declared_is_dropped(name):
    page = Visitor().open("/guestbook/")
    assert page.event("write", {"text": "good", name: "bad"}).status_code == 200
    assert record_of(page).state == {"text": '"good"', "calls": "1"}


@pytest.mark.parametrize("name", ["self", "_live", "__class__", "csrfmiddlewaretoken", "_secret"])
def test_the_rest_of_the_fields_never_holds_a_reserved_name(name):
    page = Visitor().open("/guestbook/")
    assert page.event("collect", form={name: page.csrf, "good": "x"}).status_code == 200
    assert record_of(page).state["text"] == json.dumps("[('good', 'x')]")


@pytest.mark.parametrize("name", ["a\nSet-Cookie: x=1", "a\r\nb", "a\0b", "a" * 101, "\x85\x9b", "é" * 50])
def test_a_field_with_a_hostile_name_does_not_break_the_answer(name):
    page = Visitor().open("/guestbook/")
    answer = page.event("collect", {name: "\0"})
    assert answer.status_code == 422
    assert answer["X-Live-Field"].isprintable()
    assert "Set-Cookie" not in answer


def test_an_object_that_looks_like_the_stores_own_stays_an_object():
    page = Visitor().open("/guestbook/")
    value = {"$": "safe", "v": "<script>alert(1)</script>", "deeper": {"$": "model", "t": "auth.user", "v": 1}}
    answer = page.event("hold", {"value": value})
    assert answer.status_code == 200
    assert b"<script>alert" not in answer.content
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in answer.content


def test_a_file_in_the_place_of_text_is_422():
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("write", form={"text": SimpleUploadedFile("a.txt", b"x")})
    assert (answer.status_code, written(page)) == (422, before)


def test_a_row_that_a_handler_does_not_find_is_404_and_changes_nothing():
    page = Visitor().open("/guestbook/")
    before = written(page)
    answer = page.event("look_up", {"pk": 7})
    assert (answer.status_code, answer.content, written(page)) == (404, b"", before)


@pytest.mark.parametrize("rev", ["x", "", "1.5", "9" * 5000, "-1", "٣"])
def test_a_rev_that_is_no_number_is_400_where_it_matters(stage, rev):
    page = Visitor().open()
    stage.clock.advance(100_000)
    answer = page.event("add", X_Live_Rev=rev)
    assert answer.status_code == (200 if rev in ("-1", "٣") else 400)
