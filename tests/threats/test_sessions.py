"""Logging in and out: what was opened before is dead for whoever comes next, and a visitor's page lives on."""

import re
from dataclasses import replace

import pytest
from django.contrib.sessions.models import Session

from htmx_live.core.records import Owner
from htmx_live.core.signing import unsign_page
from htmx_live.progress import ProgressSession
from htmx_live.runtime.owners import COOKIE_PREFIX
from htmx_live.runtime.services import services
from tests.threats.visitor import Page, Visitor, record_of, somebody, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return somebody("alice")


@pytest.fixture
def bob():
    return somebody("bob")


def cookies_of(visitor):
    """What holds the tokens of somebody who has not logged in."""
    return {name: one.value for name, one in visitor.http.cookies.items() if name.startswith(COOKIE_PREFIX)}


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
    for name, value in cookies_of(attacker).items():
        victim.http.cookies[name] = value
    before_login = victim.open()
    assert record_of(before_login).owner == record_of(planted).owner  # as visitors the two are one
    victim.http.get("/login/alice/")
    assert fresh(before_login).event("add")["X-Live-Remounted"] == "1"  # under its id it is alice's now
    after_login = victim.open()
    before = [written(page) for page in (before_login, after_login)]
    seen = before_login.seen_by(attacker).event("add")
    assert Page.of(attacker, seen.content.decode()).instance != before_login.instance
    assert [page.seen_by(attacker).event("add").status_code for page in (planted, after_login)] == [200, 404]
    assert [written(page) for page in (before_login, after_login)] == before
    assert [record_of(page).owner.user for page in (before_login, after_login)] == [str(alice.pk)] * 2
    assert record_of(after_login).owner.token != record_of(planted).owner.token


def test_the_token_is_replaced_at_login_and_at_logout(alice, bob):
    visitor = Visitor()
    owners = [record_of(visitor.open()).owner]
    for path in ("/login/alice/", "/login/bob/", "/logout/"):
        visitor.http.get(path)
        owners.append(record_of(visitor.open()).owner)
    assert [owner.user for owner in owners] == ["", str(alice.pk), str(bob.pk), ""]
    assert len({owner.token for owner in owners} - {""}) == 4


def test_a_login_puts_the_token_into_the_session_and_a_password_change_keeps_it(alice):
    visitor = Visitor()
    visitor.http.get("/login/alice/")
    token = visitor.http.session["_htmx_live"]
    page = visitor.open()
    visitor.http.get("/password/")
    assert visitor.http.session["_htmx_live"] == token
    assert record_of(visitor.open()).owner == record_of(page).owner


def test_a_login_moves_the_visitors_tokens_into_the_session_and_a_logout_ends_them(alice):
    visitor = Visitor()
    page, report = visitor.open(), visitor.http.get("/work/").content.decode()
    stolen = cookies_of(visitor)
    assert list(map(bool, stolen.values())) == [True]
    visitor.http.get("/login/alice/")
    assert not any(cookies_of(visitor).values())
    assert visitor.http.get(report).status_code == 200  # what the visitor began is the user's
    assert fresh(page).event("add").status_code == 200  # mounted again
    visitor.http.get("/logout/")
    assert [fresh(page).event("add").status_code, visitor.http.get(report).status_code] == [404, 404]
    late = Visitor()
    for name, value in stolen.items():
        late.http.cookies[name] = value
    assert page.seen_by(late).event("add").status_code == 200  # of what was before the login a copy stays good
    assert record_of(page).owner.user == str(alice.pk)


def test_after_another_users_login_the_pages_and_work_of_the_visitor_before_are_dead(alice, bob):
    visitor = Visitor()
    page, report = visitor.open(), visitor.http.get("/work/").content.decode()
    for name in ("alice", "bob"):
        visitor.http.get(f"/login/{name}/")
    assert [fresh(page).event("add").status_code, visitor.http.get(report).status_code] == [404, 404]


def test_a_logout_deletes_a_visitors_cookies_without_a_login():
    visitor = Visitor()
    page = visitor.open()
    visitor.http.get("/logout/")
    assert not any(cookies_of(visitor).values())
    assert fresh(page).event("add").status_code == 404


def test_a_visitor_makes_no_session():
    visitor = Visitor()
    page = visitor.open()
    assert page.event("add", {"amount": 3}).status_code == 200
    assert record_of(page).state["count"] == "3"
    assert page.sync().status_code == 200
    assert visitor.open("/report/").event("generate").status_code == 200
    assert Session.objects.count() == 0


def test_another_visitors_cookie_opens_nothing():
    page, other = Visitor().open(), Visitor()
    before = written(page)
    assert [page.seen_by(other).event("add").status_code, page.seen_by(other).sync().status_code] == [404, 404]
    assert page.seen_by(Visitor()).event("add").status_code == 404
    assert written(page) == before


def test_the_token_is_in_no_page_and_a_users_is_in_no_cookie(alice):
    visitor = Visitor()
    first = visitor.open()
    [cookie] = cookies_of(visitor).values()
    visitor.http.get("/login/alice/")
    page = visitor.open()
    texts = [first.html, page.html, page.event("add").content.decode(), page.live, page.page]
    for token in (cookie.partition(":")[0], visitor.http.session["_htmx_live"]):
        assert re.fullmatch(r"[0-9a-f]{32}", token)
        assert all(token not in text for text in texts)
        assert token not in (record_of(page).owner.token, cookies_of(visitor))


def test_a_page_on_which_nothing_can_be_done_makes_no_session():
    visitor = Visitor()
    page = visitor.open("/board/")
    assert "sessionid" not in visitor.http.cookies
    assert record_of(page).owner == Owner()
    assert Session.objects.count() == 0


def visitor_of_first_pages():
    """A visitor with the cookies of two first pages, and these pages in the order in which the cookies count."""
    visitor, pages = Visitor(), {}
    for _ in range(2):
        other = Visitor()
        page = other.open()
        [(name, value)] = cookies_of(other).items()
        visitor.http.cookies[name], pages[name] = value, page
    visitor.open()
    return visitor, [replace(pages[name], visitor=visitor) for name in sorted(pages)]


def test_a_page_that_is_loaded_again_finds_its_state_whichever_cookie_counts_first():
    visitor, pages = visitor_of_first_pages()
    assert [fresh(page).event("add", {"amount": 41}).status_code for page in pages] == [200, 200]
    for page in pages:
        again = visitor.open()
        assert record_of(again).owner == record_of(pages[0]).owner
        again.sync({"adopt": [page.live]})
        assert record_of(again) is None  # the earlier one took its place
        assert record_of(page).state["count"] == "41"
        assert unsign_page(again.page, max_age=60).page in record_of(page).pages


def test_what_the_request_of_a_page_makes_has_the_owner_of_the_page():
    _, pages = visitor_of_first_pages()
    for page in pages:
        url = page.visitor.http.get("/work/", headers={"X-Live-Page": page.page}).content.decode()
        work = ProgressSession.get(page.visitor.http.session["work"])
        assert work.header.owner == record_of(page).owner
        assert page.visitor.http.get(url).status_code == 200  # without the header
        assert Visitor().http.get(url).status_code == 404


def test_a_mount_again_and_a_view_in_a_page_of_another_cookie_work():
    _, pages = visitor_of_first_pages()
    for page in pages:
        services().store.delete(page.instance)
        answer = fresh(page).event("add")
        assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
        assert record_of(page).owner.token
        again = Page.of(page.visitor, answer.content.decode())
        assert replace(fresh(again), page=page.page).event("add").status_code == 200
