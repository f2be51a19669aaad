"""Formsets: rows that come, go and are validated one by one."""

from typing import Any

import pytest
from django.contrib.auth.models import Group

from tests.views.forms.reading import element, errors, said, values
from tests.views.forms.views import Groups, Keeping, Lines, Note

pytestmark = pytest.mark.django_db


def names(client: Any) -> list[str]:
    """The names in the rows that are not to be deleted."""
    sent = values(client)
    total = int(sent["form-TOTAL_FORMS"][0])
    return [sent[f"form-{row}-name"][0] for row in range(total) if f"form-{row}-DELETE" not in sent]


def add(client: Any, *rows: str) -> Any:
    """Fill the last row and add one, for each of ``rows``."""
    for row in rows:
        last = int(values(client)["form-TOTAL_FORMS"][0]) - 1
        client.click("add_row", **{f"form-{last}-name": row})
    return client


def test_a_formset_begins_with_its_initial_rows(live: Any) -> None:
    assert names(live(Lines)) == ["first", ""]


def test_a_row_that_is_added_keeps_what_was_typed(live: Any) -> None:
    client = live(Lines).click("add_row", **{"form-1-name": "second"})
    assert (names(client), errors(client)) == (["first", "second", ""], {})


def test_a_row_that_is_added_has_its_initial_values_and_no_errors(live: Any) -> None:
    client = live(Lines).submit("save", **{"form-1-name": "second", "form-1-count": "x"})
    client.click("add_row")
    assert values(client)["form-2-count"] == ["1"]
    assert errors(client) == {"form-1-count": "Enter a whole number."}


def test_a_field_of_one_row_is_validated_alone(live: Any) -> None:
    client = live(Lines).trigger(
        "input", "validate", field="form-0-count", **{"form-0-count": "x", "form-1-count": "y"}
    )
    assert errors(client) == {"form-0-count": "Enter a whole number."}


def test_a_row_that_goes_lets_those_after_it_move_up(live: Any) -> None:
    client = add(live(Lines), "second")
    client.trigger("input", "validate", field="form-2-count", **{"form-2-name": "third", "form-2-count": "x"})
    client.click("remove_row", index=1)
    assert names(client) == ["first", "third"]
    assert errors(client) == {"form-1-count": "Enter a whole number."}


def test_a_row_that_moves_up_takes_the_browser_along(live: Any) -> None:
    client = live(Lines)
    body = values(client) | {"index": "1"}
    grant = client._synced_page.root.attributes["data-live"]
    assert client.http.post("/live/event/remove_row/", body, headers={"X-Live": grant})["X-Live-Reset-Forms"] == "1"


def test_a_saved_row_that_goes_is_hidden_and_marked(live: Any) -> None:
    client = live(Lines).click("remove_row", index=0)
    assert names(client) == [""]
    assert ("hidden" in element(client, "row-0").attributes, "hidden" in element(client, "row-1").attributes) == (
        True,
        False,
    )


def test_rows_stop_at_the_formset_s_maximum(live: Any) -> None:
    client = add(live(Lines), "second")
    client.click("add_row")
    assert (names(client), errors(client)) == (["first", "second", ""], {"": "Please submit at most 3 forms."})


def test_a_row_that_is_marked_makes_room_for_another(live: Any) -> None:
    client = add(live(Lines), "second").click("remove_row", index=0)
    assert names(client.click("add_row")) == ["second", "", ""]


def test_marked_rows_do_not_grow_past_the_absolute_maximum(live: Any) -> None:
    client = live(Lines)
    body = values(client) | {"form-TOTAL_FORMS": "5", **{f"form-{row}-DELETE": "on" for row in range(5)}}
    assert values(client.send("add_row", body))["form-TOTAL_FORMS"] == ["5"]


def test_a_valid_formset_is_saved_and_begins_anew(live: Any) -> None:
    client = add(live(Lines), "second").submit("save", **{"form-2-name": "third"})
    assert said(client) == "['second', 'third']"
    assert names(client) == ["first", ""]


def test_passwords_in_rows_are_not_kept(live: Any) -> None:
    client = live(Lines).click("add_row", **{"form-1-name": "second", "form-1-secret": "hunter2"})
    assert "hunter2" not in str(client.state) + client.html


def test_what_was_typed_before_a_row_went_is_dropped(live: Any) -> None:
    client = add(live(Lines), "second")
    late = values(client) | {"_args": element(client, "id_form-1-name").attributes["data-live-args"]}
    client.click("remove_row", index=1)
    assert client.send("validate", late).status == 204
    assert names(client) == ["first", ""]


def test_rows_are_those_of_the_record_where_the_trigger_stands_outside_of_the_form(live: Any) -> None:
    client = add(live(Lines), "second").send("remove_row", {"index": 0})
    assert names(client) == ["second", ""]


def test_a_model_formset_saves_adds_and_deletes(live: Any) -> None:
    for name in ("my a", "my b", "theirs"):
        Group.objects.create(name=name)
    client = live(Groups).click("add_row").click("remove_row", index=0)
    client.submit("save", **{"form-1-name": "my c", "form-2-name": "my d"})
    assert sorted(Group.objects.values_list("name", flat=True)) == ["my c", "my d", "theirs"]
    assert names(client) == ["my c", "my d"]


def test_a_row_that_is_somebody_else_s_is_not_touched(live: Any) -> None:
    Group.objects.create(name="my a")
    theirs = Group.objects.create(name="theirs")
    live(Groups).submit("save", **{"form-0-id": theirs.pk, "form-0-name": "stolen", "form-0-DELETE": "on"})
    assert sorted(Group.objects.values_list("name", flat=True)) == ["my a", "theirs"]


def test_a_row_cannot_be_deleted_where_the_formset_does_not_delete(live: Any) -> None:
    client = live(Keeping, raise_errors=False).click("remove_row", index=0)
    assert (client.status, names(client)) == (422, ["first", ""])


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_a_row_that_is_not_there_cannot_be_removed(live: Any, index: int) -> None:
    client = live(Lines, raise_errors=False)
    assert client.send("remove_row", values(client) | {"index": index}).status == 422


def test_a_form_has_no_rows(live: Any) -> None:
    client = live(Note, raise_errors=False)
    assert [client.send(handler, {"index": 0}).status for handler in ("add_row", "remove_row")] == [404, 404]
