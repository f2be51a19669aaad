"""Drafts: what a record keeps of a form that is being filled in.

The raw fields as they were sent and the errors as they were said, never the form.  A form and a formset are treated
alike: a formset is its forms and, under the name "", itself.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeAlias

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import BaseForm, BoundField, MultiWidget, Widget
from django.forms.formsets import DELETION_FIELD_NAME, TOTAL_FORM_COUNT, BaseFormSet
from django.forms.utils import ErrorDict
from django.http import QueryDict

__all__ = [
    "FieldValues",
    "FormErrors",
    "FormOrFormSet",
    "FormState",
    "bound_fields",
    "collect_errors",
    "count_rows",
    "find_changed_fields",
    "from_query_dict",
    "has_valid_management_form",
    "is_file_widget",
    "merge_errors",
    "set_errors",
    "strip_secrets",
    "to_query_dict",
    "unbind_blank_rows",
    "with_row",
    "without_row",
]


FormOrFormSet: TypeAlias = "BaseForm | BaseFormSet[Any]"
FieldValues = dict[str, list[str]]  # as they are sent: a field may come more than once
FormErrors = dict[str, dict[str, list[str]]]  # a form's prefix ("" without one) -> a field's name -> texts


@dataclass(frozen=True, slots=True, kw_only=True)
class FormState:
    """``values`` is None until something was sent.  Fields in ``touched`` (names as sent) show their errors, and all
    do once the form ``is_sent``.  ``number`` rises when the fields of a draft are no longer those that it began with:
    what was typed into an earlier one does not belong to it.
    """

    number: int = 0
    values: FieldValues | None = None
    touched: list[str] = field(default_factory=list)
    errors: FormErrors = field(default_factory=dict)
    is_sent: bool = False

    def to_state(self) -> dict[str, Any]:
        """It as values that a record keeps; ``FormState(**kept)`` reads them."""
        return asdict(self)


def to_query_dict(values: Mapping[str, Sequence[str]]) -> QueryDict:
    """``values`` as a form reads them."""
    query = QueryDict(mutable=True)
    for name, items in values.items():
        query.setlist(name, list(items))
    query._mutable = False
    return query


def from_query_dict(query: QueryDict) -> FieldValues:
    """The fields of a request."""
    return {name: [str(item) for item in items] for name, items in query.lists()}


def get_forms(form: FormOrFormSet) -> list[BaseForm]:
    """A formset's forms, or the form itself."""
    return list(form.forms) if isinstance(form, BaseFormSet) else [form]


def bound_fields(form: FormOrFormSet) -> Iterator[BoundField]:
    """The fields of all its forms."""
    for one in get_forms(form):
        yield from one


def is_file_widget(widget: Widget) -> bool:
    """Whether its value is an uploaded file."""
    return widget.needs_multipart_form


# Secrets


def strip_secrets(form: FormOrFormSet, values: FieldValues) -> FieldValues:
    """Those of ``values`` that ``form`` reads, without passwords and the names of files.

    A closed list: a field that the form does not declare may be anything, a password in a template for example.
    """
    is_kept_by_name = {bound.html_name: not _is_secret(bound.field.widget) for bound in bound_fields(form)}
    file_names = {bound.html_name for bound in bound_fields(form) if is_file_widget(bound.field.widget)}
    if isinstance(form, BaseFormSet):
        is_kept_by_name.update((bound.html_name, True) for bound in form.management_form)
    max_length = max(map(len, is_kept_by_name), default=0)
    return {
        name: items
        for name, items in values.items()
        if name not in file_names and _is_kept(name, is_kept_by_name, max_length)
    }


def _is_kept(name: str, is_kept_by_name: Mapping[str, bool], max_length: int) -> bool:
    if name in is_kept_by_name:
        return is_kept_by_name[name]
    # A widget of several inputs adds to its field's name: date_year, when_0, photo-clear.
    for cut in range(min(len(name) - 1, max_length), 0, -1):
        if name[cut] in "_-" and name[:cut] in is_kept_by_name:
            return is_kept_by_name[name[:cut]]
    return False


def _is_secret(widget: Widget) -> bool:
    if isinstance(widget, MultiWidget):
        return any(map(_is_secret, widget.widgets))
    return getattr(widget, "input_type", "") == "password"


# Errors


def find_changed_fields(form: FormOrFormSet) -> set[str]:
    """The fields, by the names that they are sent under, that are not as they began."""
    return {one.add_prefix(name) for one in get_forms(form) for name in one.changed_data}


def collect_errors(form: FormOrFormSet, is_shown: Callable[[str], bool]) -> FormErrors:
    """The errors of a bound form, of those fields for which ``is_shown(name as it is sent)``."""
    found: FormErrors = {}
    for one in get_forms(form):
        shown = {name: _texts(texts) for name, texts in one.errors.items() if is_shown(one.add_prefix(name))}
        if shown:
            found[one.prefix or ""] = shown
    if isinstance(form, BaseFormSet) and form.non_form_errors() and is_shown(NON_FIELD_ERRORS):
        found[""] = {NON_FIELD_ERRORS: _texts(form.non_form_errors())}
    return found


def _texts(errors: Iterable[Any]) -> list[str]:
    return list(errors)  # an ErrorList makes texts of what is in it; those that are marked safe stay so


def merge_errors(errors: FormErrors, form: FormOrFormSet, names: Collection[str], earlier: FormErrors) -> FormErrors:
    """``errors``, and of the ``earlier`` ones those of the fields that are sent as ``names``."""
    merged_errors = dict(errors)
    for one in get_forms(form):
        prefix = one.prefix or ""
        retained = {name: texts for name, texts in earlier.get(prefix, {}).items() if one.add_prefix(name) in names}
        if retained:
            merged_errors[prefix] = {**merged_errors.get(prefix, {}), **retained}
    return merged_errors


def set_errors(form: FormOrFormSet, errors: FormErrors) -> None:
    """Give ``form`` these errors in the place of those that cleaning would find; what they name may be gone."""
    for one in get_forms(form):
        _set_form_errors(one, errors.get(one.prefix or "", {}))
    if isinstance(form, BaseFormSet):
        _set_formset_errors(form, errors.get("", {}).get(NON_FIELD_ERRORS, []))


# Any: these attributes are Django's own, and in no stub.


def _set_form_errors(form: Any, errors: Mapping[str, list[str]]) -> None:
    form._errors = ErrorDict(renderer=form.renderer)
    form.cleaned_data = {}
    for name, texts in errors.items():
        if name == NON_FIELD_ERRORS or name in form.fields:
            form.add_error(None if name == NON_FIELD_ERRORS else name, texts)


def _set_formset_errors(formset: Any, errors: list[str]) -> None:
    formset._errors = [form.errors for form in formset.forms]
    formset._non_form_errors = formset.error_class(errors, error_class="nonform", renderer=formset.renderer)


# Rows


def has_valid_management_form(form: FormOrFormSet) -> bool:
    """Whether a formset's management form says how many rows there are."""
    return not isinstance(form, BaseFormSet) or not form.is_bound or form.management_form.is_valid()


def count_rows(formset: "BaseFormSet[Any]") -> int:
    """How many rows were sent, whether or not the formset takes that many."""
    return formset.management_form.cleaned_data[TOTAL_FORM_COUNT] or 0


def unbind_blank_rows(form: FormOrFormSet) -> None:
    """Let new rows that nothing was sent of be as they begin: one that was just added has its initial values."""
    if not (isinstance(form, BaseFormSet) and form.is_bound):
        return
    start = f"{form.prefix}-"
    sent = {name[len(start) :].partition("-")[0] for name in form.data if name.startswith(start)}
    row: Any
    for index, row in enumerate(form.forms):
        if index >= form.initial_form_count() and str(index) not in sent:
            row.is_bound, row.data, row.cleaned_data = False, {}, {}


def with_row(formset: "BaseFormSet[Any]", values: FieldValues) -> FieldValues | None:
    """``values`` and an empty row; None where that is one too many.  Rows marked to be deleted do not count."""
    total = count_rows(formset)
    gone = sum(f"{formset.add_prefix(index)}-{DELETION_FIELD_NAME}" in values for index in range(total))
    if total - gone >= formset.max_num or total >= formset.absolute_max:
        return None
    return {**values, _total_forms_name(formset): [str(total + 1)]}


def without_row(
    formset: "BaseFormSet[Any]", index: int, values: FieldValues, touched: list[str]
) -> tuple[FieldValues, list[str]]:
    """``values`` and ``touched`` once a row is gone: a saved one is marked, and those after a new one move up."""
    if index < formset.initial_form_count():
        return {**values, f"{formset.add_prefix(index)}-{DELETION_FIELD_NAME}": ["on"]}, touched
    renumber = partial(
        _renumber_field, re.compile(rf"{re.escape(str(formset.prefix))}-(\d{{1,9}})-(.+)", re.DOTALL), index
    )
    moved = {new: items for name, items in values.items() if (new := renumber(name))}
    return {**moved, _total_forms_name(formset): [str(count_rows(formset) - 1)]}, [
        new for name in touched if (new := renumber(name))
    ]


def _renumber_field(row_pattern: re.Pattern[str], index: int, name: str) -> str:
    """The name of a field once the row at ``index`` is gone; "" for a field of that row."""
    match = row_pattern.fullmatch(name)
    number = int(match[1]) if match else -1
    if match is None or number < index:
        return name
    return "" if number == index else f"{name[: match.start(1)]}{number - 1}-{match[2]}"


def _total_forms_name(formset: "BaseFormSet[Any]") -> str:
    return formset.management_form.add_prefix(TOTAL_FORM_COUNT)
