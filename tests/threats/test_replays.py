"""Replays: one nonce is one effect."""

import pytest

from tests.threats.visitor import Visitor, record_of, somebody

pytestmark = pytest.mark.django_db

NONCE = "0123456789abcdef" * 2


def count(page):
    return record_of(page).state["count"]


def test_the_same_post_five_times_has_one_effect_and_shows_the_present():
    page = Visitor().open()
    answers = [page.event("add", {"amount": 3}, X_Live_Nonce=NONCE) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert all("<p>3</p>" in answer.content.decode() for answer in answers)
    assert count(page) == "3"


def test_a_replay_with_other_arguments_or_another_handler_has_no_effect():
    page = Visitor().open()
    page.event("add", {"amount": 3}, X_Live_Nonce=NONCE)
    page.event("add", {"amount": 100}, X_Live_Nonce=NONCE)
    page.event("add_later", X_Live_Nonce=NONCE)
    assert count(page) == "3"


def test_a_nonce_that_was_used_on_one_view_still_works_on_another():
    first, second = Visitor().open(), Visitor().open()
    first.event("add", X_Live_Nonce=NONCE)
    second.event("add", X_Live_Nonce=NONCE)
    assert (count(first), count(second)) == ("1", "1")


def test_a_replay_in_other_hands_is_404():
    page = Visitor(somebody("alice")).open()
    page.event("add", X_Live_Nonce=NONCE)
    assert page.seen_by(Visitor()).event("add", X_Live_Nonce=NONCE).status_code == 404


def test_a_post_that_failed_may_be_sent_again_with_its_nonce():
    page = Visitor().open("/guestbook/")
    page.event("write", {"wrong": 1}, X_Live_Nonce=NONCE)
    page.event("write", {"text": "right"}, X_Live_Nonce=NONCE)
    assert record_of(page).state["calls"] == "1"


@pytest.mark.parametrize("nonce", ["x" * 10_000, "é", "' OR 1=1 --", "[]"])
def test_a_strange_nonce_is_a_nonce_and_is_kept_short(nonce):
    page = Visitor().open()
    for _ in range(2):
        page.event("add", X_Live_Nonce=nonce)
    assert count(page) == "1"
    assert max(map(len, record_of(page).nonces)) <= 64


def test_a_record_keeps_sixteen_nonces():
    page = Visitor().open()
    for n in range(40):
        page.event("add", X_Live_Nonce=f"{n:032x}")
    assert record_of(page).nonces == tuple(f"{n:032x}" for n in range(24, 40))
