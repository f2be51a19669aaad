"""Drafts: what is kept of a form, what is not, and how errors come back."""

from typing import Any

import pytest
from django import forms
from django.forms import formset_factory
from django.utils.safestring import mark_safe

from htmx_live.runtime.state import decode, encode
from htmx_live.views.form_state import (
    FormState,
    collect_errors,
    find_changed_fields,
    from_query_dict,
    merge_errors,
    set_errors,
    strip_secrets,
    to_query_dict,
    unbind_blank_rows,
    with_row,
    without_row,
)


class TwoInputs(forms.MultiWidget):
    def __init__(self, second: type[forms.Widget]) -> None:
        super().__init__([forms.TextInput, second])

    def decompress(self, value: Any) -> list[Any]:
        return [value, value]


class Login(forms.Form):
    user = forms.CharField(max_length=3)
    password = forms.CharField(widget=forms.PasswordInput)
    password_hint = forms.CharField(required=False)
    token = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off"}), required=False)
    pin = forms.CharField(widget=forms.TextInput, required=False)
    pair = forms.CharField(widget=TwoInputs(forms.PasswordInput), required=False)
    when = forms.CharField(widget=TwoInputs(forms.TextInput), required=False)
    photo = forms.FileField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pin"].widget.input_type = "password"


class Pair(forms.Form):
    left = forms.CharField()
    right = forms.CharField()


Rows = formset_factory(Login, extra=0)
MANAGED = {"form-TOTAL_FORMS": ["2"], "form-INITIAL_FORMS": ["1"]}


def kept(*names: str) -> list[str]:
    return sorted(strip_secrets(Login(), {name: ["x"] for name in names}))


def test_passwords_are_not_kept_whatever_their_widget() -> None:
    assert kept("user", "password", "pin", "pair_0", "pair_1") == ["user"]


def test_a_field_that_is_named_like_a_password_is_kept() -> None:
    assert kept("password_hint", "password_0") == ["password_hint"]


def test_all_inputs_of_a_widget_are_kept() -> None:
    assert kept("when_0", "when_1", "photo-clear") == ["photo-clear", "when_0", "when_1"]


def test_files_and_fields_that_are_not_the_form_s_are_not_kept() -> None:
    assert kept("photo", "other", "csrfmiddlewaretoken", "_args", "_live", "users", "us", "user") == ["user"]


def test_the_rows_of_a_formset_are_kept_with_their_number() -> None:
    formset = Rows(data=to_query_dict(MANAGED))
    sent = {**MANAGED, "form-0-user": ["a"], "form-1-password": ["b"], "form-2-user": ["c"]}
    assert strip_secrets(formset, sent) == {**MANAGED, "form-0-user": ["a"]}


def test_values_are_read_as_they_were_sent() -> None:
    values = {"a": ["1", "2"], "b": []}
    assert from_query_dict(to_query_dict(values)) == values
    with pytest.raises(AttributeError, match="immutable"):
        to_query_dict(values)["a"] = "3"


def test_a_draft_survives_in_a_record() -> None:
    draft = FormState(number=2, values={"a": ["1"]}, touched=["a"], errors={"": {"a": ["No."]}}, is_sent=True)
    assert FormState(**decode(encode(draft.to_state()))) == draft


def test_errors_come_back_as_they_were_said() -> None:
    sent = Login(to_query_dict({"user": ["anna"], "password": [""]}))
    sent.add_error(None, mark_safe("Try <b>harder</b>."))
    again = Login(to_query_dict({"user": ["anna"]}))
    set_errors(again, decode(encode(collect_errors(sent, lambda name: True))))
    assert str(again.errors) == str(sent.errors)
    assert str(again) == str(sent)


def test_errors_of_fields_that_are_gone_are_left_out() -> None:
    form = Login(to_query_dict({}))
    set_errors(form, {"": {"gone": ["Old."]}, "other": {"user": ["Of another form."]}})
    assert form.errors == {}


def test_a_formset_s_own_errors_come_back_beside_those_of_its_rows() -> None:
    formset = Rows(data=to_query_dict({**MANAGED, "form-0-user": ["a"]}))
    set_errors(formset, {"": {"__all__": ["Too few."]}, "form-1": {"user": ["Missing."]}})
    assert (formset.errors, formset.non_form_errors()) == ([{}, {"user": ["Missing."]}], ["Too few."])


def test_earlier_errors_are_added_for_the_fields_named_alone() -> None:
    earlier = {"": {"photo": ["Empty."], "user": ["Old."]}}
    assert merge_errors({"": {"pin": ["Short."]}}, Login(), {"photo"}, earlier) == {
        "": {"pin": ["Short."], "photo": ["Empty."]}
    }


def test_fields_that_differ_from_how_they_began_are_touchable() -> None:
    form = Pair(to_query_dict({"one-left": ["a"], "one-right": ["b"]}), initial={"left": "a"}, prefix="one")
    assert find_changed_fields(form) == {"one-right"}


def test_new_rows_without_fields_are_as_they_begin() -> None:
    formset = Rows(data=to_query_dict({**MANAGED, "form-0-user": ["a"]}))
    unbind_blank_rows(formset)
    assert [row.is_bound for row in formset] == [True, False]


def test_rows_move_up_whatever_the_prefix() -> None:
    formset = Rows(data=to_query_dict({"a.b-TOTAL_FORMS": ["3"], "a.b-INITIAL_FORMS": ["0"]}), prefix="a.b")
    values = {"a.b-0-user": ["0"], "a.b-1-user": ["1"], "a.b-2-user-x": ["2"], "aXb-2-user": ["other"]}
    assert without_row(formset, 1, values, ["a.b-1-user", "a.b-2-user-x"]) == (
        {"a.b-0-user": ["0"], "a.b-1-user-x": ["2"], "aXb-2-user": ["other"], "a.b-TOTAL_FORMS": ["2"]},
        ["a.b-1-user-x"],
    )


def test_a_row_past_the_maximum_is_one_too_many() -> None:
    formset = formset_factory(Login, max_num=2)(data=to_query_dict(MANAGED))
    assert with_row(formset, dict(MANAGED)) is None
    assert with_row(formset, {**MANAGED, "form-0-DELETE": ["on"]}) == {
        **MANAGED, "form-0-DELETE": ["on"], "form-TOTAL_FORMS": ["3"],
    }  # fmt: skip
