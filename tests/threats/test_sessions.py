"""Logging in and out: what was opened before is dead for whoever comes next, and a visitor's page lives on."""

import re

import pytest
from django.contrib.sessions.models import Session

from htmx_live.records import Owner
from tests.threats.visitor import Page, Visitor, record_of, somebody, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return somebody("alice")


@pytest.fixture
def bob():
    return somebody("bob")


def fresh(page):
    """The page with the CSRF token of now: logging in changes it."""
    return page.seen_by(page.visitor)


def test_after_a_logout_the_page_is_dead_for_whoever_has_the_browser(alice):
    page = Visitor(alice).open()
    before = written(page)
    page.visitor.http.get("/logout/")
    answers = [fresh(page).event("add"), fresh(page).sync(), fresh(page).sync({"roots": [], "poll": True})]
    assert [answer.status_code for answer in answers] == [404, 404, 204]
    assert written(page) == before


def test_after_another_users_login_the_page_is_dead_for_them(alice, bob):
    page = Visitor(alice).open()
    before = written(page)
    page.visitor.http.get("/login/bob/")
    assert [fresh(page).event("add").status_code, fresh(page).sync().status_code] == [404, 404]
    assert written(page) == before


def test_a_page_from_before_a_logout_is_mounted_anew_for_the_same_user(alice):
    page = Visitor(alice).open()
    page.event("add", {"amount": 41})
    page.visitor.http.get("/logout/")
    page.visitor.http.get("/login/alice/")
    before = written(page)
    answer = fresh(page).event("add")
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    mine = record_of(Page.of(page.visitor, answer.content.decode()))
    assert (mine.state["count"], mine.owner.user) == ("0", str(alice.pk))
    assert written(page) == before  # no session can use the old one any more


def test_a_visitors_page_is_mounted_again_after_login_with_a_new_page_grant(alice):
    page = Visitor().open()
    page.event("add", {"amount": 41})
    page.visitor.http.get("/login/alice/")
    answer = fresh(page).event("add")
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    assert {"X-Live-Page", "X-Live-Number", "X-Live-CSRF"} <= set(answer.headers)
    assert record_of(page).owner.user == str(alice.pk)
    assert record_of(page).state["count"] == "0"


def test_after_a_login_the_csrf_token_of_the_page_before_is_refused(alice):
    page = Visitor().open()
    before = written(page)
    page.visitor.http.get("/login/alice/")
    assert (page.event("add").status_code, written(page)) == (403, before)


def test_who_planted_a_session_has_nothing_of_what_its_victim_does_after_login(alice):
    attacker, victim = Visitor(), Visitor()
    planted = attacker.open()
    victim.http.cookies["sessionid"] = attacker.http.cookies["sessionid"].value
    before_login = victim.open()
    victim.http.get("/login/alice/")
    after_login = victim.open()
    before = written(after_login)
    tries = [page.seen_by(attacker).event("add").status_code for page in (planted, before_login, after_login)]
    assert tries == [404, 404, 404]
    assert written(after_login) == before
    assert record_of(after_login).owner.user == str(alice.pk)


def test_the_token_of_a_session_is_replaced_at_logout_and_at_another_login(alice, bob):
    visitor = Visitor()
    owners = [record_of(visitor.open()).owner]
    for path in ("/login/alice/", "/login/bob/", "/logout/"):
        visitor.http.get(path)
        owners.append(record_of(visitor.open()).owner)
    first, as_alice, as_bob, out = [owner.token for owner in owners]
    assert [owner.user for owner in owners] == ["", str(alice.pk), str(bob.pk), ""]
    assert first == as_alice  # the key of the session is new, its data stay
    assert len({as_alice, as_bob, out}) == 3


def test_a_login_puts_the_token_into_the_session_and_a_password_change_keeps_it(alice):
    visitor = Visitor()
    visitor.http.get("/login/alice/")
    token = visitor.http.session["_htmx_live"]
    page = visitor.open()
    visitor.http.get("/password/")
    assert visitor.http.session["_htmx_live"] == token
    assert record_of(visitor.open()).owner == record_of(page).owner


def test_the_token_in_the_session_is_never_told_to_a_browser():
    visitor = Visitor()
    page = visitor.open()
    [session] = Session.objects.all()
    token = session.get_decoded()["_htmx_live"]
    texts = [page.html, page.event("add").content.decode(), page.live, page.page]
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert all(token not in text for text in texts)
    assert record_of(page).owner.token != token


def test_a_page_on_which_nothing_can_be_done_makes_no_session():
    visitor = Visitor()
    page = visitor.open("/board/")
    assert "sessionid" not in visitor.http.cookies
    assert record_of(page).owner == Owner()
    assert Session.objects.count() == 0
