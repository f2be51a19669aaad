"""Grants: each opens what it names, for whom it was made, as long as it holds; everything else is one answer."""

from dataclasses import replace

import pytest
from django.core import signing

from htmx_live.core.records import Owner
from htmx_live.core.signing import ViewGrant, sign_view
from htmx_live.http.stream_endpoint import PageStreamAuthorizer
from htmx_live.http.stream_hub import Denial
from htmx_live.runtime.services import services
from tests.threats.visitor import Page, Visitor, record_of, somebody, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return somebody("alice")


def strangers():
    return {"another user": Visitor(somebody("bob")), "another session": Visitor(), "a new session": Visitor()}


@pytest.mark.parametrize("who", ["another user", "another session", "a new session"])
def test_a_users_grant_in_other_hands_is_404_and_changes_nothing(alice, who):
    page = Visitor(alice).open()
    before = written(page)
    theirs = page.seen_by(strangers()[who])
    answers = [theirs.event("add"), theirs.event("unknown"), theirs.sync()]
    assert [(answer.status_code, answer.content) for answer in answers] == [(404, b"")] * 3
    assert written(page) == before


def test_a_visitors_grant_in_other_hands_is_404_and_changes_nothing():
    page = Visitor().open()
    before = written(page)
    answers = [page.seen_by(stranger).event("add").status_code for stranger in strangers().values()]
    assert answers == [404, 404, 404]
    assert written(page) == before


def test_a_grant_in_the_same_users_other_session_mounts_anew_and_never_shows_the_old_state(alice):
    page = Visitor(alice).open()
    page.event("add", {"amount": 41})
    answer = page.seen_by(Visitor(alice)).event("add", {"amount": 1})
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    assert "<p>0</p>" in answer.content.decode()


@pytest.mark.parametrize("reach", ["event", "sync"])
def test_another_session_of_the_user_gets_an_instance_of_its_own(alice, reach):
    page = Visitor(alice).open("/guestbook/")
    page.event("stream", {"text": "secret"})
    before, text = written(page), services().bus.text(f"live-{page.instance}-s-log")
    assert text is not None
    other = page.seen_by(Visitor(alice))
    answer = other.event("stream", {"text": "mine"}) if reach == "event" else other.sync()
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    assert (written(page), services().bus.text(f"live-{page.instance}-s-log")) == (before, text)
    body = answer.content.decode()
    assert f'hx-target="#live-{page.instance}"' in body  # where the page shows the first session's
    mine = Page.of(other.visitor, body)
    assert mine.instance != page.instance
    mine = replace(mine, page=other.page, csrf=other.csrf)
    again = mine.event("stream", {"text": "mine"})
    assert (again.status_code, "X-Live-Remounted" in again) == (204, False)
    assert written(page) == before


def test_a_view_that_is_mounted_again_shows_no_text_of_the_stream_before(alice):
    page = Visitor(alice).open("/guestbook/")
    page.event("stream", {"text": "secret"})
    answer = page.seen_by(Visitor(alice)).sync({"streams": {f"live-{page.instance}-s-log": "0.0"}})
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    assert b"secret" not in answer.content


def test_an_adopted_grant_of_somebody_else_is_passed_over(alice):
    theirs = Visitor(alice).open()
    theirs.event("add", {"amount": 41})
    mine = Visitor().open()
    before = written(theirs)
    assert mine.sync({"adopt": [theirs.live]}).status_code == 204
    assert written(theirs) == before
    assert record_of(mine) is not None


def test_a_page_reference_of_somebody_else_adopts_nothing(alice):
    theirs = Visitor(alice).open()
    back = theirs.event(
        "add", form={"_live": theirs.live, "csrfmiddlewaretoken": theirs.csrf}, X_Live=None, X_Live_Page=None
    )
    before = written(theirs)
    mine = Visitor().open(back["Location"])
    assert back.status_code == 303
    assert mine.instance != theirs.instance
    assert written(theirs) == before


@pytest.mark.parametrize("of", ["live", "page"])
def test_one_kind_of_grant_does_not_pass_for_the_other(of):
    page = Visitor().open()
    before = written(page)
    assert page.event("add", X_Live=page.page).status_code == 404
    assert page.sync({"roots": [{"live": page.page, "rev": 0}]}).status_code == 404
    assert page.sync({"poll": True}, X_Live_Page=page.live).status_code == 204
    assert written(page) == before


def forgeries(grant):
    value, signature = grant.rsplit(":", 1)
    return [
        "", ":", "::", ":::", "a:b:c", "\0", "é:é:é", "x" * 100_000,
        grant[:-1], grant[1:], grant + "x", grant.upper(), f"{value}:", f":{signature}",
        grant.replace(":", ";"), signing.dumps(["x"], salt="other"), signing.dumps(["x"], salt="htmx_live.page"),
        signing.dumps([], salt="htmx_live.view"), signing.dumps({}, salt="htmx_live.view"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(19))
def test_a_forged_grant_is_404(number):
    page = Visitor().open()
    before = written(page)
    forged = forgeries(page.live)[number]
    assert page.event("add", X_Live=forged.replace("\0", "0")).status_code == 404
    assert page.event("add", form={"_live": forged}, X_Live=None).status_code == 404
    # An empty one is a child that the page lacks, and asks for nothing by itself.
    assert page.sync({"roots": [{"live": forged, "rev": 0}]}).status_code == (404 if forged else 204)
    assert page.sync({"adopt": [forged]}).status_code == 204
    assert page.sync(X_Live_Page=forged.replace("\0", "0")).status_code == 204
    assert written(page) == before


def test_half_of_a_surrogate_pair_in_a_grant_is_404():
    page = Visitor().open()
    assert page.sync(r'{"roots": [{"live": "\ud800:a:b", "rev": 0}]}').status_code == 404
    assert page.sync(r'{"adopt": ["\ud800:a:b"]}').status_code == 204


def test_an_expired_grant_is_401(settings):
    page = Visitor().open()
    before = written(page)
    settings.HTMX_LIVE = {"GRANT_MAX_AGE": -1}
    assert page.event("add").status_code == 401
    assert page.sync().status_code == 401
    assert PageStreamAuthorizer().authorize({"x-live-page": page.page}) == Denial(status=401)
    assert written(page) == before


@pytest.mark.parametrize(
    "view", ["os.system", "tests.sample_views.GATES", "django.contrib.auth.models.User", "nowhere.View", "x", ""]
)
def test_even_a_signed_grant_opens_nothing_but_live_views(view):
    page = Visitor().open()
    record = record_of(page)
    grant = ViewGrant(instance="f" * 32, view=view, owner=record.owner, epoch=services().store.epoch)
    assert page.event("add", X_Live=sign_view(grant)).status_code == 410
    assert page.sync({"roots": [{"live": sign_view(grant), "rev": 0}]}).status_code == 410
    assert services().store.load("f" * 32) is None


def test_a_grant_that_names_another_view_than_the_record_does_not_open_it():
    page = Visitor().open()
    record = record_of(page)
    grant = ViewGrant(
        instance=page.instance, view="tests.sample_views.Report", owner=record.owner, epoch=services().store.epoch
    )
    answer = page.event("click", X_Live=sign_view(grant), X_Live_Rev="7")
    assert (answer.status_code, answer["X-Live-Remounted"]) == (200, "1")
    assert b"Generate" in answer.content


def test_a_page_grant_without_an_owner_shows_nothing_of_a_view_with_one():
    """A page that needed no session, and what its visitor loaded into it later."""
    visitor = Visitor()
    board = visitor.open("/board/")
    answer = visitor.http.get("/counter/", headers={"X-Live-Page": board.page})
    counter = type(board).of(visitor, answer.content.decode())
    assert record_of(counter).owner != Owner() == record_of(board).owner
    stranger = Visitor()
    theirs = board.seen_by(stranger)
    services().bus.publish([f"page:{record_of(counter).pages[0]}"], "x", "<p>of the counter</p>")
    answer = theirs.sync({"roots": [], "poll": True})
    assert b"of the counter" not in answer.content
