"""Sync: whatever a page claims to have, it is told of its own views only, and what it says costs little."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from htmx_live.runtime.services import services
from tests.threats.visitor import Visitor, record_of, somebody, written

pytestmark = pytest.mark.django_db

GARBAGE = [
    b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"\x80\x04\x95.", b"[" * 2000 + b"]" * 2000,
    b'{"roots": 1}', b'{"roots": {"live": 1}}', b'{"roots": ["x"]}', b'{"roots": [{}]}', b'{"roots": [{"live": "x"}]}',
    b'{"roots": [{"live": "x", "rev": "y"}]}', b'{"roots": [{"live": "x", "rev": NaN}]}', b'{"streams": []}',
    b'{"roots": [{"live": "x", "rev": 1e999}]}', b'{"roots": [{"live": "x", "rev": null}]}', b'{"adopt": 1}',
    b'{"streams": 1}', b'{"number": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: body[:30].decode("latin-1"))
def test_a_question_that_is_none_is_400(body):
    page = Visitor().open()
    before = written(page)
    answer = page.sync(body)
    assert (answer.status_code, answer.content, written(page)) == (400, b"", before)


def test_a_question_that_is_a_form_is_400_and_says_so_in_the_log(caplog):
    page = Visitor().open()
    before = written(page)
    answer = page.visitor.http.post("/live/sync/", {"number": "1"}, headers=page._headers({}))  # multipart/form-data
    assert (answer.status_code, answer.content, written(page)) == (400, b"", before)
    [line] = [record for record in caplog.records if record.name == "htmx_live.http"]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert (
        line.getMessage() == "/live/sync/ answered 400: event(): _args: the question is a form, and not a JSON object"
    )


class BrokenConnection:
    """The body of a request whose client has gone away."""

    def read(self, *size):
        raise OSError("the client has gone away")

    readline = read


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_question_that_breaks_off_is_400_without_a_traceback(kind, caplog):
    page = Visitor().open()
    before = written(page)
    broken = {"wsgi.input": BrokenConnection(), "CONTENT_LENGTH": "10"}
    kind = f"{kind}; boundary=x"
    answer = page.visitor.http.generic("POST", "/live/sync/", content_type=kind, headers=page._headers({}), **broken)
    assert (answer.status_code, written(page)) == (400, before)
    assert [record for record in caplog.records if record.exc_info] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
questions = st.fixed_dictionaries(
    {},
    optional={
        "number": json_values | st.text(),
        "roots": json_values
        | st.lists(st.fixed_dictionaries({"live": json_values | st.just("MINE"), "rev": json_values})),
        "streams": json_values | st.dictionaries(st.text() | st.just("STREAM"), st.text() | json_values, max_size=3),
        "adopt": json_values | st.lists(st.just("MINE") | st.text(), max_size=3),
        "poll": json_values,
        "hidden": json_values,
    },
)


@pytest.fixture
def page(stage):
    return Visitor().open("/guestbook/?text=kept")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=questions | json_values)
def test_any_question_is_answered_and_changes_no_state(page, question):
    state = record_of(page).state
    body = json.dumps(question).replace("MINE", page.live).replace("STREAM", f"live-{page.instance}-s-log")
    answer = page.sync(body.encode())
    assert answer.status_code in (200, 204, 400, 404)
    assert record_of(page).state == state


def messages_of(answer):
    """What a poll brought beside partials."""
    found = re.findall(r"data-live-messages>(.*?)</script>", answer.content.decode())
    return [message for text in found for message in json.loads(text)]


@pytest.mark.parametrize(
    "number", ["", "x", ".", "e.", ".1", "0.99999999999999999999", "é.1", "EPOCH.-1", "EPOCH.1.5", "EPOCH.٣"]
)
def test_a_number_that_is_none_is_the_beginning_of_a_new_count(number):
    page = Visitor().open()
    answer = page.sync({"number": number.replace("EPOCH", page.number.split(".")[0]), "roots": [], "poll": True})
    told = [] if answer.status_code == 204 else [message["event"] for message in messages_of(answer)]
    assert (told, answer["X-Live-Number"]) == (["reset"] if number else [], page.number)


def test_somebody_elses_root_among_ones_own_is_404_for_the_whole_question():
    mine, theirs = Visitor().open(), Visitor(somebody("alice")).open()
    before = written(theirs)
    roots = [{"live": mine.live, "rev": 0}, {"live": theirs.live, "rev": 0}]
    answer = mine.sync({"roots": roots})
    assert (answer.status_code, answer.content, written(theirs)) == (404, b"", before)


@pytest.mark.parametrize("target", ["live-{}-s-log", "live-{}", "live-{}-s-", "{}-s-log", "live-{}-s-log-s-log"])
def test_the_text_stream_of_somebody_else_is_not_told(target):
    theirs, mine = Visitor().open("/guestbook/"), Visitor().open("/guestbook/")
    theirs.event("stream", {"text": "secret"})
    answer = mine.sync({"roots": [{"live": mine.live, "rev": 9}], "streams": {target.format(theirs.instance): "0.0"}})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "at", ["", ".", "x.y", "GENERATION.-1", "GENERATION.", "GENERATION.1.5", "GENERATION." + "9" * 5000, "GENERATION.٣"]
)
def test_any_position_in_a_text_is_answered(at):
    page = Visitor().open("/guestbook/")
    page.event("stream", {"text": "some text"})
    target = f"live-{page.instance}-s-log"
    at = at.replace("GENERATION", services().bus.text(target).generation)
    answer = page.sync({"roots": [{"live": page.live, "rev": 9}], "streams": {target: at}})
    assert answer.status_code in (200, 204)


@pytest.mark.parametrize("rev", [-1, -(10**20), 10**20, 10**4000, 1.5, True, "7"])
def test_any_rev_mounts_again_and_counts_on_from_something_reasonable(stage, rev):
    page = Visitor().open()
    stage.clock.advance(100_000)
    answer = page.sync({"roots": [{"live": page.live, "rev": rev}]})
    assert answer.status_code == 200
    assert 1 <= record_of(page).rev <= 2**53 + 1


def test_a_root_that_is_named_a_thousand_times_is_shown_once():
    page = Visitor().open()
    answer = page.sync({"roots": [{"live": page.live, "rev": 0}] * 1000})
    assert answer.content.decode().count("<hx-partial") == 1


def test_an_adopted_view_with_other_kwargs_or_of_another_class_is_not_taken_over():
    visitor = Visitor()
    counter, report = visitor.open("/counter/"), visitor.open("/report/")
    before = written(counter)
    assert report.sync({"adopt": [counter.live]}).status_code == 204
    assert written(counter) == before


def test_a_poll_brings_no_message_of_another_page():
    mine, theirs = Visitor().open(), Visitor().open()
    theirs.event("add", {"amount": 41})
    answer = mine.sync({"roots": [], "poll": True})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_poll_on_somebody_elses_page_brings_none_of_its_messages():
    theirs = Visitor().open()
    theirs.event("add", {"amount": 41})
    answer = theirs.seen_by(Visitor()).sync({"roots": [], "poll": True})
    assert (answer.status_code, answer.content) == (204, b"")
