"""Permissions that are lost after the page was loaded: nothing is done and nothing is shown any more."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from htmx_live.http.stream_endpoint import PageStreamAuthorizer
from htmx_live.http.stream_hub import Denial, StreamGrant
from tests.threats.visitor import Visitor, record_of, somebody, written

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    user = somebody("alice")
    user.user_permissions.add(Permission.objects.get(codename="view_user"))
    return user


def knock(page):
    """Ask for the page's stream."""
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in page.visitor.http.cookies.items())
    return PageStreamAuthorizer().authorize({"x-live-page": page.page, "cookie": cookies})


def test_a_permission_lost_between_render_and_click_is_403_and_changes_nothing(alice):
    page = Visitor(alice).open("/guarded/")
    page.event("add")
    alice.user_permissions.clear()
    before = written(page)
    answers = [page.event("add"), page.event("work"), page.sync()]
    assert [(answer.status_code, answer.content) for answer in answers] == [(403, b"")] * 3
    assert written(page) == before


def test_a_permission_lost_before_a_poll_brings_no_message(alice):
    page = Visitor(alice).open("/guarded/")
    page.event("add")
    alice.user_permissions.clear()
    answer = page.sync({"roots": [], "poll": True})
    assert (answer.status_code, answer.content) == (403, b"")


def test_a_shared_view_shows_itself_to_whoever_has_its_permission_only(alice):
    page = Visitor(alice).open("/shared/")
    bob = Visitor(somebody("bob"))
    theirs = page.seen_by(bob)
    before = written(page)
    again = {"roots": [{"live": page.live, "rev": 0}]}
    answers = [theirs.event("add"), theirs.sync(again), bob.http.get("/shared/")]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert theirs.sync({"roots": [], "poll": True}).content == b""
    alice.user_permissions.clear()
    assert [page.event("add").status_code, page.sync(again).status_code] == [403, 403]
    assert [page.sync({"roots": [], "poll": True}).status_code, knock(page)] == [403, Denial(status=403)]
    assert written(page) == before


@pytest.mark.parametrize(
    ("came_from", "location"),
    [("http://testserver/shared/?a=b", "http://testserver/shared/?a=b"), ("https://evil.example/", "/"), ("", "/")],
)
def test_a_shared_views_form_leads_back_to_the_page_that_it_came_from(alice, came_from, location):
    page = Visitor(alice).open("/shared/")
    answer = page.event("add", form={"_live": page.live}, X_Live=None, X_Live_Page=None, Referer=came_from)
    assert (answer.status_code, answer["Location"]) == (303, location)
    assert record_of(page).state["count"] == "1"


def test_a_permission_lost_before_a_replay_shows_nothing(alice):
    page = Visitor(alice).open("/guarded/")
    page.event("add", X_Live_Nonce="a" * 32)
    alice.user_permissions.clear()
    answer = page.event("add", X_Live_Nonce="a" * 32)
    assert (answer.status_code, answer.content) == (403, b"")


def test_a_permission_lost_before_a_remount_shows_nothing(alice, stage):
    page = Visitor(alice).open("/guarded/")
    alice.user_permissions.clear()
    stage.clock.advance(100_000)
    answers = [page.event("add"), page.sync()]
    assert [(answer.status_code, answer.content) for answer in answers] == [(403, b"")] * 2
    assert record_of(page) is None


def test_a_permission_lost_before_a_reload_adopts_nothing(alice):
    page = Visitor(alice).open("/guarded/")
    back = page.event("add", form={"_live": page.live}, X_Live=None, X_Live_Page=None)["Location"]
    alice.user_permissions.clear()
    before = written(page)
    assert page.visitor.http.get(back).status_code == 403
    assert written(page) == before


def test_a_permission_lost_between_start_and_run_fails_the_job_without_running_it(alice, stage):
    page = Visitor(alice).open("/guarded/")
    page.event("work")
    alice.user_permissions.clear()
    stage.runner.run_all()
    record = record_of(page)
    assert (record.state["count"], record.jobs) == ("0", ())
    assert record.state["ended"] == '["work",true]'


def test_a_user_who_was_deactivated_or_deleted_may_do_nothing_any_more(alice):
    page = Visitor(alice).open("/guarded/")
    before = written(page)
    alice.is_active = False
    alice.save()
    assert page.event("add").status_code == 404
    alice.delete()
    assert page.event("add").status_code == 404
    assert written(page) == before


def test_a_stream_is_opened_only_with_permission(alice):
    page = Visitor(alice).open("/guarded/")
    assert isinstance(knock(page), StreamGrant)
    alice.user_permissions.clear()
    assert knock(page) == Denial(status=403)


def test_a_visitor_is_sent_to_log_in_and_a_user_without_permission_gets_403(alice):
    anonymous = Visitor().http.get("/guarded/")
    assert (anonymous.status_code, anonymous["Location"]) == (302, "/login/?next=/guarded/")
    assert Visitor(somebody("bob")).http.get("/guarded/").status_code == 403


def test_knocking_with_a_key_that_was_replaced_does_not_end_the_session(alice, settings):
    """A session that was signed with the key before: Django's own handler renews it, and sends the new cookie."""
    page = Visitor(alice).open("/guarded/")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new key"
    knock(page)
    assert page.visitor.http.get("/guarded/").status_code == 200


class AllButGroups(ModelBackend):
    """A project's rule of its own: groups grant nothing."""

    def _get_group_permissions(self, user_obj):
        return Permission.objects.none()


def grant(user, how):
    """Give ``user`` the permission that the page asks for, by themselves, by a group, by their rank, or not at all."""
    permission = Permission.objects.get(codename="view_user")
    if how == "group":
        group, _ = Group.objects.get_or_create(name="viewers")
        group.permissions.set([permission])
        user.groups.add(group)
    elif how == "rank":
        user.is_superuser = True
        user.save()
    elif how == "own":
        user.user_permissions.add(permission)
    return user


def streams_of(count, how):
    """Open pages of ``count`` users, let in once by a permission of their own, which ``how`` then replaces."""
    accesses = []
    for number in range(count):
        user = grant(somebody(f"{how}{number}"), "own")
        accesses.append(knock(Visitor(user).open("/guarded/")))
        user.user_permissions.clear()
        grant(user, how)
    return accesses


def test_permissions_of_all_users_are_read_together():
    few, many = streams_of(1, "group"), streams_of(12, "own")
    with CaptureQueriesContext(connection) as for_few:
        assert PageStreamAuthorizer.check(few) == [True]
    with CaptureQueriesContext(connection) as for_many:
        assert PageStreamAuthorizer.check(few + many) == [True] * 13
    assert len(for_few) == len(for_many) == 5


@pytest.mark.parametrize(("how", "answer"), [("own", True), ("group", True), ("rank", True), ("nothing", False)])
def test_a_stream_goes_on_for_permissions_of_a_user_a_group_and_a_superuser(how, answer):
    assert PageStreamAuthorizer.check(streams_of(2, how)) == [answer] * 2


def test_a_backend_with_rules_of_its_own_decides(settings):
    accesses = streams_of(1, "group") + streams_of(1, "own")
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.AllButGroups"]
    assert PageStreamAuthorizer.check(accesses) == [False, True]
