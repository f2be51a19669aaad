"""What a store holds is not trusted: what cannot be read is gone, and nothing in it builds or calls anything."""

import json
import pickle
from dataclasses import replace

import pytest

from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode_state
from tests.threats.visitor import Visitor, record_of, somebody

pytestmark = pytest.mark.django_db


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


def tagged(tag, value, **more):
    return json.dumps({"$": tag, "v": value, **more})


POISONS = {
    "no JSON": "{",
    "empty": "",
    "pickle": pickle.dumps(Bomb(), protocol=0).decode("latin-1"),
    "pickle bytes": pickle.dumps(Bomb()),
    "None": None,
    "unknown tag": tagged("object", "os.system"),
    "odd tag": tagged(["x"], 1),
    "no value": '{"$": "decimal"}',
    "no decimal": tagged("decimal", "x"),
    "no date": tagged("date", 7),
    "no uuid": tagged("uuid", "x"),
    "no delta": tagged("timedelta", {"days": "x"}),
    "unhashable": tagged("set", [[]]),
    "unknown enum": tagged("enum", "LEFT", t="nowhere:Side"),
    "no enum": tagged("enum", "system", t="os:environ"),
    "unknown member": tagged("enum", "LEFT", t="enum:Enum"),
    "unknown model": tagged("model", 1, t="nowhere.model"),
    "no model": tagged("model", 1, t=7),
    "no key": tagged("model", "x", t="auth.user"),
    "deep": "[" * 5000 + "]" * 5000,
}


def poison(page, **changes):
    store = services().store
    record = record_of(page)
    store.delete(page.instance)
    store.create(replace(record, **changes))


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in POISONS.items() if name != "unknown model"]
)
def test_a_state_that_cannot_be_read_is_gone_and_the_view_is_mounted_again(text):
    page = Visitor().open()
    for ask in (lambda: page.event("add"), lambda: page.sync({"roots": [{"live": page.live, "rev": 0}]})):
        poison(page, state={"count": text})
        answer = ask()
        assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
        assert record_of(page).state["count"] == "0"
    assert not Bomb.exploded


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in POISONS.items() if name != "unknown model"]
)
def test_a_state_that_cannot_be_read_does_not_break_a_poll_or_the_page_after_a_form(text):
    page = Visitor().open()
    back = page.event("add", form={"_live": page.live}, X_Live=None, X_Live_Page=None)["Location"]
    poison(page, state={"count": text})
    assert page.sync({"roots": [], "adopt": [page.live], "poll": True}).status_code in (200, 204)
    assert page.visitor.http.get(back).status_code == 200


@pytest.mark.parametrize("view", ["os.system", "nowhere.View", "tests.sample_views.GATES", ""])
def test_a_record_of_what_is_no_view_is_gone(view):
    page = Visitor().open()
    poison(page, view=view)
    answer = page.event("add")
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")


def test_a_row_of_a_model_that_is_gone_is_none():
    assert decode_state({"row": tagged("model", 1, t="nowhere.model")}) == {"row": None}


@pytest.mark.parametrize(
    "letter", ["", "{", "[]", '["Merge"]', '["os.system", {}]', '["JobEnd", {"ref": 1, "x": 2}]', "null", "\x80\x04"]
)
def test_a_letter_that_cannot_be_read_is_dropped(letter):
    page = Visitor().open("/report/")
    services().store.enqueue(page.instance, letter)
    page.event("named")
    answer = page.event("click")
    assert answer.status_code == 200


def test_a_merge_under_a_ref_that_nobody_started_changes_nothing():
    page = Visitor(somebody("alice")).open("/report/")
    letter = json.dumps(
        [
            "JobEnd",
            {
                "ref": "forged",
                "changes": {"clicks": "41"},
                "removed": [],
                "result": None,
                "failure": None,
                "cancelled": False,
            },
        ]
    )
    services().store.enqueue(page.instance, letter)
    page.event("click")
    assert record_of(page).state["clicks"] == "1"
