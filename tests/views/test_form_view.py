"""Form views: validated while they are filled in, saved, cleared, and kept without secrets."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from htmx_live import LiveFormView
from htmx_live.core.exceptions import TurnError
from tests.views.forms.reading import element, errors, said, values
from tests.views.forms.views import Checked, Formless, GroupName, LazyNote, Letter, Note, SignUp, TwoForms

pytestmark = pytest.mark.django_db

GOOD = {"name": "Anna", "email": "a@example.com", "password": "correct horse", "agree": "on"}


def kept(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.state["_form_kept"]
    return found


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


# While it is filled in


def test_a_form_begins_without_errors(live: Any) -> None:
    assert errors(live(SignUp)) == {}


def test_only_touched_fields_show_their_errors(live: Any) -> None:
    client = live(SignUp).trigger("input", "validate", field="email", email="nowhere")
    assert errors(client) == {"email": "Enter a valid email address."}
    client.trigger("input", "validate", field="name", name="Anna Katharina")
    assert list(errors(client)) == ["name", "email"]


def test_an_error_goes_once_its_field_is_right(live: Any) -> None:
    client = live(SignUp).trigger("input", "validate", field="email", email="nowhere")
    client.trigger("input", "validate", field="email", email="a@example.com")
    assert errors(client) == {}
    assert values(client)["email"] == ["a@example.com"]


def test_a_field_that_is_as_it_began_was_not_touched(live: Any) -> None:
    client = live(Note).trigger("input", "validate", field="text", text="Dear")
    assert (errors(client), kept(client)["touched"]) == ({}, [])


def test_a_touched_field_that_was_emptied_says_so(live: Any) -> None:
    client = live(Note).trigger("input", "validate", field="text", text="")
    assert errors(client) == {"text": "This field is required."}


def test_a_field_that_does_not_exist_is_not_touched(live: Any) -> None:
    client = live(Note).send("validate", {"_args": '{"field": "nothing", "draft": 0}', "text": "x"})
    assert (client.status, kept(client)["touched"]) == (200, [])


def test_validation_is_debounced(live: Any) -> None:
    client = live(SignUp)
    assert element(client, "id_name").attributes["hx-trigger"] == "input delay:300ms"
    assert element(client, "id_agree").attributes["hx-trigger"] == "change delay:300ms"


def test_choices_are_validated_when_they_change(live: Any) -> None:
    client = live(SignUp).change("validate", field="sizes", sizes=["s", "xxl"])
    assert errors(client) == {"sizes": "Select a valid choice. xxl is not one of the available choices."}
    assert values(client)["sizes"] == ["s"]


def test_files_are_not_sent_with_each_keystroke(live: Any) -> None:
    client = live(SignUp)
    assert "hx-post" not in element(client, "id_photo").attributes
    assert element(client, "id_name").attributes["hx-encoding"] == "application/x-www-form-urlencoded"
    assert "hx-encoding" not in element(live(Note), "id_text").attributes


def test_errors_are_tied_to_their_fields(live: Any) -> None:
    name = element(live(SignUp).trigger("input", "validate", field="name", name="x" * 11), "id_name").attributes
    assert (name["aria-invalid"], name["aria-describedby"]) == ("true", "id_name_helptext id_name_error")


def test_ids_stay_from_render_to_render(live: Any) -> None:
    client = live(SignUp)
    ids = [one.attributes["id"] for one in client._synced_page.root.all() if "id" in one.attributes]
    client.trigger("input", "validate", field="name", name="Anna")
    assert [one.attributes["id"] for one in client._synced_page.root.all() if "id" in one.attributes] == ids


def test_two_forms_in_one_page_share_no_id(live: Any) -> None:
    ids = [one.attributes["id"] for one in live(TwoForms)._synced_page.root.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids)) == 7


def test_what_a_form_begins_with_may_depend_on_the_mount(live: Any) -> None:
    client = live(Letter, to="Anna")
    assert values(client)["text"] == ["Dear Anna"]
    client.trigger("input", "validate", field="text", text="Dear Anna")
    assert kept(client)["touched"] == []


# Saving


def test_an_invalid_form_is_a_normal_answer_with_all_errors(live: Any) -> None:
    client = live(SignUp).submit("save", name="Anna")
    assert client.status == 200
    assert list(errors(client)) == ["email", "password", "agree"]


def test_the_form_s_own_errors_are_shown_once_it_was_sent(live: Any) -> None:
    client = live(SignUp).trigger("input", "validate", field="name", name="a@b.de", email="a@b.de")
    assert errors(client) == {}
    client.submit("save", **GOOD | {"name": "a@b.de", "email": "a@b.de"})
    assert errors(client) == {"": "Name and address are the same."}


def test_after_it_was_sent_every_error_follows_the_typing(live: Any) -> None:
    client = live(SignUp).submit("save", name="Anna")
    client.trigger("input", "validate", field="email", email="a@example.com")
    assert list(errors(client)) == ["password", "agree"]


def test_a_valid_form_is_saved_and_cleared_in_the_browser_too(live: Any) -> None:
    client = live(SignUp).submit("save", **GOOD, sizes=["s", "l"])
    assert said(client) == "['Anna', ['s', 'l'], None]"
    assert values(client)["name"] == [""]
    assert kept(client) == {"number": 1, "values": None, "touched": [], "errors": {}, "is_sent": False}


def test_a_saved_form_asks_the_browser_to_forget_what_was_typed(live: Any) -> None:
    client = live(SignUp)
    answer = client.http.post(
        "/live/event/save/", GOOD, headers={"X-Live": client._synced_page.root.attributes["data-live"]}
    )
    assert answer["X-Live-Reset-Forms"] == "1"


def test_what_was_typed_before_the_form_was_saved_does_not_come_back(live: Any) -> None:
    client = live(SignUp)
    late = {"_args": element(client, "id_name").attributes["data-live-args"], "name": "Anna"}
    client.submit("save", **GOOD)
    client.send("validate", late)
    assert (client.status, kept(client)["values"]) == (204, None)


def test_a_success_leads_to_its_url(live: Any) -> None:
    assert live(Note).submit("save").redirected_to == "/done/"
    assert live(LazyNote).submit("save").redirected_to == "/live/sync/"


def test_messages_become_toasts(live: Any) -> None:
    assert live(SignUp).submit("save", **GOOD).notices == [{"message": "Welcome!", "level": "success"}]


def test_an_error_that_form_valid_adds_is_shown_and_stays(live: Any) -> None:
    client = live(Checked).submit("save", code="no")
    assert errors(client) == {"code": "Used up."}
    client.reload()
    assert errors(client) == {"code": "Used up."}


def test_a_form_valid_that_does_not_clear_keeps_the_form_as_sent(live: Any) -> None:
    client = live(Checked).submit("save", text="Hello")
    assert (values(client)["text"], errors(client)) == (["Hello"], {})


def test_a_refusal_changes_nothing(live: Any) -> None:
    client = live(Checked, raise_errors=False).submit("save", code="never")
    assert (client.status, client.notices) == (422, [{"message": "Not today.", "level": "error"}])
    assert "_form_kept" not in client.state


def test_a_form_view_without_a_form_says_what_to_set(live: Any) -> None:
    with pytest.raises(TurnError, match=r"Formless has no form_class\. Set it to a Form"):
        live(Formless)


def test_a_form_cannot_be_shared() -> None:
    with pytest.raises(TypeError, match="Public is a form with scope='shared', which shows everybody what one"):
        type("Public", (LiveFormView,), {"scope": "shared"})


# What the record keeps


def test_the_record_keeps_neither_passwords_nor_files_nor_what_the_form_does_not_know(live: Any) -> None:
    client = live(SignUp)
    photo = SimpleUploadedFile("me.png", b"picture")
    client.submit("save", **GOOD | {"email": "nowhere", "photo": photo, "hidden_password": "x", "born_year": "1990"})
    assert kept(client)["values"] == {
        "name": ["Anna"], "email": ["nowhere"], "pin": [""], "agree": ["on"], "at_0": [""], "at_1": [""],
        "born_year": ["1990"], "born_month": [""], "born_day": [""],
    }  # fmt: skip
    assert "correct horse" not in json.dumps(client.state) + client.html


def test_a_password_that_was_sent_is_not_said_to_be_missing(live: Any) -> None:
    client = live(SignUp).submit("save", **GOOD | {"email": "nowhere"})
    assert list(errors(client)) == ["email"]
    client.reload()
    assert list(errors(client)) == ["email"]


def test_what_a_password_was_told_is_still_there_in_later_renders(live: Any) -> None:
    client = live(SignUp).submit("save", **GOOD | {"password": "short"})
    client.reload()
    assert list(errors(client)) == ["password"]


def test_a_file_reaches_the_form_and_what_is_said_of_it_outlasts_the_typing(live: Any) -> None:
    client = live(SignUp).submit("save", **GOOD, photo=SimpleUploadedFile("me.png", b"picture"))
    assert said(client) == "['Anna', [], 'picture']"
    client.submit("save", **GOOD, photo=SimpleUploadedFile("me.png", b""))
    client.trigger("input", "validate", field="email", email="b@example.com")
    assert errors(client)["photo"] == "The submitted file is empty."


def test_posted_fields_and_files_are_there_in_any_handler(live: Any) -> None:
    client = live(SignUp).send("type_elsewhere", {"other": ["x", "y"], "f": SimpleUploadedFile("f.txt", b"1")})
    assert client.state["other"] == "x,y,f.txt"


def test_a_form_that_is_too_large_is_refused_and_changes_nothing(live: Any) -> None:
    client = live(Note, raise_errors=False).send("validate", {"text": "x" * 70_000})
    assert (client.status, client.rev) == (413, 1)
    assert "_form_kept" not in client.state


def test_a_valid_form_may_be_larger_than_a_record(live: Any) -> None:
    client = live(SignUp, raise_errors=False)
    with override_settings(HTMX_LIVE={"MAX_RECORD_SIZE": 200}):
        assert client.submit("save", **GOOD).status == 200


# Whose object it is


def a_group(user: User, name: str = "Editors") -> Group:
    group = Group.objects.create(name=name)
    user.groups.add(group)
    return group


def test_a_model_form_edits_the_user_s_own_object(live: Any, ada: User) -> None:
    group = a_group(ada)
    client = live(GroupName, user=ada, pk=group.pk)
    assert values(client) == {"name": ["Editors"]}
    client.submit("save", name="Authors")
    group.refresh_from_db()
    assert (group.name, values(client)) == ("Authors", {"name": ["Authors"]})


def test_an_object_that_is_not_the_user_s_is_not_found(live: Any, ada: User) -> None:
    group = Group.objects.create(name="Others")
    assert live(GroupName, user=ada, pk=group.pk).status == 404


def test_an_object_that_is_the_user_s_no_more_is_404_and_stays_as_it_is(live: Any, ada: User) -> None:
    group = a_group(ada)
    client = live(GroupName, user=ada, pk=group.pk, raise_errors=False)
    ada.groups.clear()
    assert client.submit("save", name="Mine").status == 404
    group.refresh_from_db()
    assert group.name == "Editors"


def test_permission_is_asked_before_a_form_is_saved(live: Any, ada: User) -> None:
    group = a_group(ada)
    client = live(GroupName, user=ada, pk=group.pk, raise_errors=False)
    client.http.logout()
    assert client.submit("save", name="Mine").status == 404
    group.refresh_from_db()
    assert group.name == "Editors"


def test_a_unique_name_is_checked_while_it_is_typed(live: Any, ada: User) -> None:
    group = a_group(ada)
    Group.objects.create(name="Taken")
    client = live(GroupName, user=ada, pk=group.pk).trigger("input", "validate", field="name", name="Taken")
    assert errors(client) == {"name": "Group with this Name already exists."}


def test_later_renders_show_errors_without_asking_the_database_again(live: Any, ada: User) -> None:
    group = a_group(ada)
    Group.objects.create(name="Taken")
    client = live(GroupName, user=ada, pk=group.pk).trigger("input", "validate", field="name", name="Taken")
    with CaptureQueriesContext(connection) as queries:
        client.send("nothing", {})
    assert client.status == 204
    assert [query for query in queries if "Taken" in query["sql"]] == []
