"""Live actions: what they are given, who may start them, and what the changelist shows of them."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.template import engines
from django.test import Client
from django.utils import translation

from htmx_live.contrib.admin import LiveActionsMixin, live_action
from htmx_live.progress import ProgressSession
from htmx_live.progress.store import progress_store
from htmx_live.testing.environment import LiveEnvironment
from tests.contrib.task_history import site

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/auth/group/"


def start(client: Client, *names: str, action: str = "export", query: str = "", across: bool = False) -> Any:
    chosen = list(Group.objects.filter(name__in=names).values_list("pk", flat=True))
    given = {"action": action, "index": "0", "select_across": str(int(across)), "_selected_action": chosen}
    return client.post(LIST + query, given)


def sessions(user: Any) -> list[ProgressSession]:
    found = [ProgressSession.get(kept.header.id) for kept in progress_store().find_by_owner(f"user-{user.pk}")]
    return [session for session in found if session is not None]


def only(user: Any) -> dict[str, Any]:
    """The one task of the one session."""
    (session,) = sessions(user)
    (task,) = session.to_dict()["tasks"].values()
    return dict(task)


@pytest.fixture(autouse=True)
def never_held() -> None:
    for event in site.go.values():
        event.set()


def test_the_chosen_objects_are_worked_on_and_the_result_is_kept(
    client: Client, ann: Any, staged: LiveEnvironment
) -> None:
    answer = start(client, "Group 2", "Group 4", query="?q=Group")
    assert (answer.status_code, answer["Location"]) == (302, LIST + "?q=Group")
    assert only(ann)["name"] == "Export groups (2 groups)"
    staged.runner.run_all()
    assert only(ann)["result"] == "/exports/?of=Group+2%2CGroup+4&for=ann"


def test_all_that_match_are_found_when_it_begins(client: Client, ann: Any, staged: LiveEnvironment) -> None:
    start(client, "Group 1", query="?q=Group", across=True)
    Group.objects.create(name="Group 8")
    Group.objects.create(name="Other")
    staged.runner.run_all()
    numbers = "%2C".join(f"Group+{number}" for number in range(1, 9))
    assert only(ann)["result"] == f"/exports/?of={numbers}&for=ann"


def test_two_clicks_start_one(client: Client, ann: Any, staged: LiveEnvironment) -> None:
    start(client, "Group 1")
    start(client, "Group 1")
    start(client, "Group 2")
    assert len(sessions(ann)) == 2
    assert staged.runner.run_all() == 2


@pytest.mark.parametrize("change", ["is_active", "is_staff", "is_superuser"])
def test_who_may_not_any_more_when_it_begins_does_nothing(
    client: Client, ann: Any, staged: LiveEnvironment, change: str
) -> None:
    start(client, "Group 1")
    setattr(ann, change, False)
    ann.save()
    staged.runner.run_all()
    task = only(ann)
    assert (task["status"], task["message"]) == ("error", "You are not allowed to do this any more.")
    assert task["current"] is None


def test_an_action_that_is_not_offered_cannot_be_started(client: Client, ann: Any, staged: LiveEnvironment) -> None:
    ann.is_superuser = False
    ann.save()
    ann.user_permissions.add(Permission.objects.get(codename="view_group"))
    start(client, "Group 1")
    assert sessions(ann) == []
    assert staged.runner.run_all() == 0


def test_a_post_without_the_admins_permission_starts_nothing(client: Client, staged: LiveEnvironment) -> None:
    start(Client(), "Group 1")
    assert staged.runner.run_all() == 0


def test_it_speaks_the_language_of_who_started_it(
    client: Client, staged: LiveEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[str] = []
    client.cookies["django_language"] = "de"

    @live_action(description="Listen")
    def refuse(modeladmin: Any, request: Any, queryset: Any, task: Any) -> None:
        spoken.append(str(translation.get_language()))
        spoken.append(request.build_absolute_uri())

    monkeypatch.setattr(site.GroupAdmin, "refuse", refuse)
    with translation.override("de"):
        start(client, "Group 1", action="refuse", query="?q=Group")
    staged.runner.run_all()
    assert spoken == ["de", "http://testserver/admin/auth/group/?q=Group"]


def test_what_returns_no_url_fails_and_tells_why_in_the_log(
    client: Client, ann: Any, staged: LiveEnvironment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @live_action()
    def refuse(modeladmin: Any, request: Any, queryset: Any, task: Any) -> int:
        return 7

    monkeypatch.setattr(site.GroupAdmin, "refuse", refuse)
    start(client, "Group 1", action="refuse")
    staged.runner.run_all()
    assert only(ann)["status"] == "error"
    assert "The action 'refuse' returned 7" in caplog.text


def test_an_action_may_be_async(
    client: Client, ann: Any, staged: LiveEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    @live_action()
    async def refuse(modeladmin: Any, request: Any, queryset: Any, task: Any) -> str:
        return f"/made/{await queryset.acount()}/"

    monkeypatch.setattr(site.GroupAdmin, "refuse", refuse)
    start(client, "Group 1", "Group 2", action="refuse")
    staged.runner.run_all()
    assert only(ann)["result"] == "/made/2/"


def test_a_changelist_without_actions_is_djangos_own(client: Client) -> None:
    assert b"htmx-live" not in client.get(LIST).content


def test_a_card_stands_on_its_own_models_changelist_and_no_other(client: Client) -> None:
    start(client, "Group 1")
    assert b"data-live-progress" in client.get(LIST).content
    assert b"data-live-progress" in client.get(LIST + "?q=none").content
    assert b"data-live-progress" not in client.get("/admin/auth/user/").content
    assert b"data-live-progress" not in client.get(LIST + "?_popup=1").content


def test_a_hidden_card_stays_away_and_foreign_ids_do_no_harm(client: Client, ann: Any) -> None:
    start(client, "Group 1")
    client.post(LIST, {"_live_hide": "x" * 10_000})
    answer = client.post(LIST + "?q=a", {"_live_hide": sessions(ann)[0].session_id})
    assert (answer.status_code, answer["Location"]) == (302, LIST + "?q=a")
    assert b"data-live-progress" not in client.get(LIST).content


def test_an_action_that_asks_first_keeps_its_own_page(client: Client) -> None:
    start(client, "Group 1")
    answer = start(client, "Group 1", action="delete_selected")
    assert answer.template_name != "htmx_live/admin/change_list.html"
    assert b"Are you sure" in answer.content


def test_a_changelist_with_a_template_of_its_own_keeps_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    own = engines["django"].from_string(
        "{% extends 'admin/change_list.html' %}{% block branding %}My shop{% endblock %}"
    )
    monkeypatch.setattr(site.GroupAdmin, "change_list_template", own, raising=False)
    monkeypatch.setattr(admin.ModelAdmin, "change_list_template", None)
    start(client, "Group 1")
    content = client.get(LIST).content
    assert b"My shop" in content
    assert b"data-live-progress" in content


def test_permissions_and_description_are_the_admins_own() -> None:
    @live_action(permissions=["view", "change"])
    def close_books(modeladmin: Any, request: Any, queryset: Any, task: Any) -> None: ...

    assert close_books.short_description == "Close books"  # type: ignore[attr-defined]
    assert close_books.allowed_permissions == ("view", "change")  # type: ignore[attr-defined]
    assert issubclass(site.GroupAdmin, LiveActionsMixin)
