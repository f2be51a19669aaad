"""``LiveFormView``: a live view around a form, a model form or a formset.

    validate   fields ─▶ form ─▶ draft: the values, and the errors of touched fields
    save       fields ─▶ form ─▶ form_valid() ─▶ a new draft, or form_invalid() ─▶ draft: the values, and all errors
    render     draft  ─▶ form with the draft's values and errors

Errors are kept as they were said, not found again at each render: a push asks the database nothing, an error that
``form_valid`` added stays, and what a password or a file was told is still there on a page without JavaScript.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import CheckboxInput, SelectDateWidget
from django.forms.formsets import BaseFormSet
from django.forms.widgets import ChoiceWidget
from django.utils.datastructures import MultiValueDict

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import ArgumentError, FormTooLarge, TurnError, UnknownHandler
from htmx_live.events.attributes import Trigger
from htmx_live.events.context import current_view
from htmx_live.events.handlers import debounce, event_handler
from htmx_live.runtime.state import encode_state, get_state
from htmx_live.runtime.turn import call_handler
from htmx_live.views.form_state import (
    FieldValues,
    FormOrFormSet,
    FormState,
    bound_fields,
    collect_errors,
    count_rows,
    find_changed_fields,
    from_query_dict,
    has_valid_management_form,
    is_file_widget,
    merge_errors,
    set_errors,
    strip_secrets,
    to_query_dict,
    unbind_blank_rows,
    with_row,
    without_row,
)
from htmx_live.views.live_view import LiveView

__all__ = ["LiveFormView"]


# Chosen from, not typed into: their value is complete with each change.
_CHOICE_WIDGETS = (ChoiceWidget, CheckboxInput, SelectDateWidget)


class LiveFormView(LiveView):
    """A form that is validated while it is filled in.  Its template holds one ``<form>``::

        <form {% on "submit" "save" %}>{% live_fields %}{{ form }}<button>Save</button></form>

    ``form_class`` is a Form, a ModelForm or a formset.  After ``save`` of a valid form the page goes to
    ``success_url`` (a URL, or a name as in ``redirect()``), or starts on an empty form.
    """

    form_class: ClassVar[Any] = None
    initial: Mapping[str, Any] | Sequence[Mapping[str, Any]] = {}  # a list of them for a formset
    prefix: str | None = None
    success_url: Any = ""

    _form_kept: dict[str, Any] | None = None  # a FormState

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.scope == "shared":
            raise TypeError(
                f"{cls.__qualname__} is a form with scope='shared', which shows everybody what one of them types. "
                "Make the form a view of its own beside the shared one."
            )

    # What a form view overrides

    def get_initial(self) -> Any:
        """What the form begins with."""
        return copy.copy(self.initial)

    def get_form_kwargs(self) -> dict[str, Any]:
        """What the form is made with, but for its data; called at each render.

        Look ``instance`` or ``queryset`` up among what the user may edit: it is the check that the object is theirs.
        """
        kwargs: dict[str, Any] = {"initial": self.get_initial()}
        if self.prefix is not None:
            kwargs["prefix"] = self.prefix
        record = self._live.record
        if record.key or record.parent:  # there may be more of its kind, and ids are unique in a page
            kwargs["auto_id"] = f"id_{record.instance}_%s"
        return kwargs

    def get_form(self, data: Any = None, files: Any = None) -> Any:
        """The form, bound to ``data`` and ``files``; without them to what was sent last, or to nothing."""
        if self.form_class is None:
            raise TurnError(
                f"{type(self).__name__} has no form_class. Set it to a Form, a ModelForm or a formset class."
            )
        values = _get_form_state(self).values
        if data is None and values is not None:
            data = to_query_dict(values)
        if data is not None:
            files = MultiValueDict() if files is None else files
        return self.form_class(**{**self.get_form_kwargs(), "data": data, "files": files})

    def get_success_url(self) -> Any:
        """Where a valid form leads, as ``redirect()`` takes it; "" stays here."""
        return self.success_url

    def form_valid(self, form: Any) -> Any:
        """Save the form and leave it.  An override may add errors to the form instead, which are then shown."""
        if hasattr(form, "save"):
            form.save()
        self.clear_form()
        if url := self.get_success_url():
            self.redirect(url)

    def form_invalid(self, form: Any) -> Any:
        """What else happens when the form was sent with errors, which are shown in any case."""

    # What it offers

    def clear_form(self) -> None:
        """Forget what was sent, in the record and in the browser: the next render shows the form as it begins."""
        self._form_kept = FormState(number=_get_form_state(self).number + 1).to_state()
        self.reset_forms()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds ``form``."""
        return super().get_context_data(**{"form": _build_shown_form(self), **kwargs})

    @event_handler
    @debounce(wait=0.3)
    def validate(self, field: str = "", draft: int | None = None) -> None:
        """Show the errors of ``field`` and of those touched before.

        A field that still is as it began was not touched.  What was typed into an earlier ``draft`` (before the form
        was saved, before a row went) is dropped.
        """
        previous = _get_form_state(self)
        if draft is not None and draft != previous.number:
            return
        form = _bind_posted(self, "validate")
        if not has_valid_management_form(form):
            return _report_unreadable_rows(self, form)
        is_touched = field not in previous.touched and field in find_changed_fields(form)
        touched = [*previous.touched, field] if is_touched else previous.touched
        _store_with_errors(self, form, replace(previous, touched=touched))

    @event_handler
    def save(self) -> Any:
        """Call ``form_valid(form)`` or ``form_invalid(form)``; all errors are shown."""
        form = _bind_posted(self, "save")
        if not has_valid_management_form(form):
            return _report_unreadable_rows(self, form)
        previous = _get_form_state(self)
        result = call_handler(self.form_valid if form.is_valid() else self.form_invalid, form)
        if _get_form_state(self).number == previous.number:  # not cleared: it stays as it was sent
            _store(self, form, replace(previous, errors=collect_errors(form, lambda name: True), is_sent=True))
        return result

    @event_handler
    def add_row(self) -> None:
        """Add an empty row to a formset, up to its ``max_num``."""
        form = _bind_posted_formset(self, "add_row")
        values = with_row(form, from_query_dict(form.data))
        _store_rows(self, values or from_query_dict(form.data), _get_form_state(self))
        if values is None:
            _add_formset_error(self, form.error_messages["too_many_forms"] % {"num": form.max_num})

    @event_handler
    def remove_row(self, index: int) -> None:
        """Take a row out of a formset.  One that is saved is marked, and deleted by ``save``; those after a new one
        move up."""
        form, form_state = _bind_posted_formset(self, "remove_row"), _get_form_state(self)
        if not 0 <= index < count_rows(form):
            raise ArgumentError("remove_row", "index", f"is no row: there are {count_rows(form)}")
        is_saved = index < form.initial_form_count()
        if is_saved and not form.can_delete:
            raise ArgumentError("remove_row", "index", "is a saved row, and the formset has can_delete=False")
        values, touched = without_row(form, index, from_query_dict(form.data), form_state.touched)
        _store_rows(self, values, replace(form_state, touched=touched, errors={}))
        if not is_saved:
            self.reset_forms()  # the names of typed fields belong to other rows now


# Private functions, for a view's private attributes are its author's.


def _get_form_state(view: LiveFormView) -> FormState:
    return FormState(**view._form_kept) if view._form_kept else FormState()


def _bind_posted(view: LiveFormView, handler: str) -> Any:
    """The form bound to the event's fields and files."""
    form = view.get_form(data=view.request.POST, files=view.request.FILES)
    if isinstance(form, BaseFormSet) and has_valid_management_form(form) and count_rows(form) > form.absolute_max:
        name = form.management_form.add_prefix("TOTAL_FORMS")
        raise ArgumentError(handler, name, f"is {count_rows(form)}; the formset's absolute_max is {form.absolute_max}")
    return form


def _bind_posted_formset(view: LiveFormView, handler: str) -> Any:
    """The formset bound to the event's fields; to the draft's where the trigger stands outside of the form."""
    form = view.get_form()
    if not isinstance(form, BaseFormSet):
        raise UnknownHandler(type(view).__qualname__, handler, set(view.handlers) - {"add_row", "remove_row"})
    name = form.management_form.add_prefix("TOTAL_FORMS")
    if name in view.request.POST:
        form = _bind_posted(view, handler)
    if not (form.is_bound and has_valid_management_form(form)):
        raise ArgumentError(handler, name, "is missing: put the trigger inside the form, with its management form")
    return form


def _store_with_errors(view: LiveFormView, form: FormOrFormSet, form_state: FormState) -> None:
    """Keep what was sent, and the errors that the draft shows of it."""
    files = {bound.html_name for bound in bound_fields(form) if is_file_widget(bound.field.widget)}
    touched = set(form_state.touched)
    # Files are sent by save alone: what was said of them then still holds.
    found = collect_errors(form, lambda name: name not in files and (form_state.is_sent or name in touched))
    _store(view, form, replace(form_state, errors=merge_errors(found, form, files, form_state.errors)))


def _store_rows(view: LiveFormView, values: FieldValues, form_state: FormState) -> None:
    form = view.get_form(data=to_query_dict(values))
    unbind_blank_rows(form)
    _store_with_errors(view, form, replace(form_state, number=form_state.number + 1))


def _store(view: LiveFormView, form: FormOrFormSet, form_state: FormState) -> None:
    values = strip_secrets(form, from_query_dict(form.data))  # type: ignore[arg-type]
    view._form_kept = replace(form_state, values=values).to_state()
    size, limit = sum(map(len, encode_state(get_state(view)).values())), settings().MAX_RECORD_SIZE
    if size > limit:
        raise FormTooLarge(type(view).__qualname__, size, limit)


def _report_unreadable_rows(view: LiveFormView, form: Any) -> None:
    """Say that a formset's rows could not be read; those that were there stay."""
    fields = ", ".join(map(form.management_form.add_prefix, form.management_form.errors))
    _add_formset_error(view, form.error_messages["missing_management_form"] % {"field_names": fields})


def _add_formset_error(view: LiveFormView, text: str) -> None:
    """Show an error of the formset as a whole."""
    form_state = _get_form_state(view)
    view._form_kept = replace(form_state, errors={**form_state.errors, "": {NON_FIELD_ERRORS: [text]}}).to_state()


def _build_shown_form(view: LiveFormView) -> Any:
    """The form as the template shows it: its fields call ``validate``."""
    form, form_state = view.get_form(), _get_form_state(view)
    unbind_blank_rows(form)
    set_errors(form, form_state.errors)
    rendering = current_view.get()
    if rendering is None or "validate" not in view.handlers:
        return form
    typed, chosen = (Trigger.find(rendering, event, "validate") for event in ("input", "change"))
    extra = {"hx-encoding": "application/x-www-form-urlencoded"} if form.is_multipart() else {}
    for bound in bound_fields(form):
        widget = bound.field.widget
        if bound.is_hidden or bound.field.disabled or is_file_widget(widget) or "hx-post" in widget.attrs:
            continue
        trigger = chosen if isinstance(widget, _CHOICE_WIDGETS) else typed
        widget.attrs.update(trigger.attributes({"field": bound.html_name, "draft": form_state.number}) | extra)
    return form
