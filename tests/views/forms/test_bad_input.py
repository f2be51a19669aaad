"""Bad input: what no browser would send is refused, or shown as an error, and never a failure of ours."""

from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from htmx_live.testing import LiveClient
from htmx_live.testing.environment import live_environment
from htmx_live.views.form_state import strip_secrets, to_query_dict
from tests.views.forms.reading import errors, values
from tests.views.forms.views import Groups, Lines, SignUp, SignUpForm

pytestmark = pytest.mark.django_db

HANDLERS = ("validate", "save", "add_row", "remove_row")
TAMPERED = (
    "ManagementForm data is missing or has been tampered with. Missing fields: {}. "
    "You may need to file a bug report if the issue persists."
)
NAMES = st.one_of(
    st.sampled_from(
        ["name", "email", "password", "sizes", "fits", "agree", "at_0", "born_year", "photo", "photo-clear", "field",
         "draft", "index", "form-TOTAL_FORMS", "form-INITIAL_FORMS", "form-MIN_NUM_FORMS", "form-0-name", "form-0-id",
         "form-0-DELETE", "form-1-count", "form--1-name", "form-99999999999-name", "_live", "csrfmiddlewaretoken"]
    ),
    st.text(max_size=20),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "3", "99999999999999999999999", "1e9", "NaN", "٣", "\x00", "on", "s", "form-0-name"]
    ),
    st.text(max_size=30),
)
FIELDS = st.dictionaries(NAMES, st.lists(VALUES, max_size=3), max_size=12)


def send(client: Any, handler: str, fields: dict[str, Any]) -> Any:
    """Without the whole form around it; surrogates cannot be sent at all."""
    encoded = {
        name.encode("utf-8", "replace").decode(): [value.encode("utf-8", "replace").decode() for value in sent]
        for name, sent in fields.items()
    }
    return client.send(handler, encoded)


@pytest.mark.parametrize("view", [SignUp, Lines, Groups])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(st.tuples(st.sampled_from(HANDLERS), FIELDS), min_size=1, max_size=8))
def test_garbage_is_refused_or_shown_and_the_page_lives_on(view: Any, sent: list[tuple[str, dict[str, Any]]]) -> None:
    with live_environment():
        client = LiveClient(view, raise_errors=False)
        for handler, fields in sent:
            assert send(client, handler, fields).status in (200, 204, 400, 404, 413, 422)
        assert client.reload().status == 200


def test_a_missing_management_form_is_an_error_and_the_rows_stay(live: Any) -> None:
    client = live(Lines).send("save", {"form-0-name": "x"})
    assert errors(client) == {"": TAMPERED.format("form-TOTAL_FORMS, form-INITIAL_FORMS")}
    assert values(client)["form-0-name"] == ["first"]


def test_a_wrong_management_form_is_an_error_and_what_was_typed_stays(live: Any) -> None:
    client = live(Lines).trigger("input", "validate", field="form-0-name", **{"form-0-name": "typed"})
    client.send("validate", values(client) | {"form-TOTAL_FORMS": "many"})
    assert errors(client) == {"": TAMPERED.format("form-TOTAL_FORMS")}
    assert values(client)["form-0-name"] == ["typed"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_more_rows_than_the_formset_takes_are_refused_before_any_is_made(live: Any, handler: str) -> None:
    client = live(Lines, raise_errors=False)
    client.send(handler, values(client) | {"form-TOTAL_FORMS": "10000", "index": "0"})
    assert (client.status, client.rev) == (422, 1)


def test_ten_thousand_rows_are_refused(live: Any) -> None:
    client = live(Lines, raise_errors=False)
    rows = {f"form-{row}-name": "x" for row in range(10_000)}
    assert client.send("save", {**rows, "form-TOTAL_FORMS": "10000", "form-INITIAL_FORMS": "0"}).status == 413
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=None):
        assert client.send("save", {**rows, "form-TOTAL_FORMS": "10000", "form-INITIAL_FORMS": "0"}).status == 422
    assert client.rev == 1


@pytest.mark.parametrize(("checks_csrf", "status"), [(True, 400), (False, 413)])  # Django's own answer, and ours
def test_a_body_that_is_too_large_is_refused(live: Any, checks_csrf: bool, status: int) -> None:
    client = live(SignUp, raise_errors=False)
    client.http.handler.enforce_csrf_checks = checks_csrf
    headers = {"X-Live": client._synced_page.root.attributes["data-live"], "X-Live-Page": "any"}
    body, form = b"name=" + b"x" * 3_000_000, "application/x-www-form-urlencoded"
    answer = client.http.post("/live/event/save/", body, content_type=form, headers=headers)
    assert (answer.status_code, "_form_kept" in client.state) == (status, False)


@pytest.mark.parametrize("total", ["-3", "9" * 30, "1.5", "\x00"])
def test_no_number_of_rows_is_a_failure_of_ours(live: Any, total: str) -> None:
    client = live(Lines, raise_errors=False)
    for handler in HANDLERS:
        client.send(handler, {"form-TOTAL_FORMS": total, "form-INITIAL_FORMS": total, "index": "0"})
        assert client.status in (200, 204, 422)


def test_more_saved_rows_than_there_are_is_an_error_of_these_rows(live: Any) -> None:
    client = live(Groups).send("save", {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2", "form-0-name": "my x"})
    assert (client.status, errors(client)) == (
        200,
        {"": "(Hidden field id) This field is required.", "form-1-name": "This field is required."},
    )


def test_a_field_s_name_that_is_all_separators_is_cut_short() -> None:
    form = SignUpForm(to_query_dict({"name": ["Anna"]}))
    assert strip_secrets(form, {"name": ["Anna"], "x" + "_" * 1_000_000: ["y"]}) == {"name": ["Anna"]}


def test_a_body_that_is_no_form_is_an_empty_form(live: Any) -> None:
    client = live(SignUp)
    headers = {"X-Live": client._synced_page.root.attributes["data-live"]}
    answer = client.http.post("/live/event/save/", b"{}", content_type="application/json", headers=headers)
    assert answer.status_code == 200
