"""``live_form``: a form that calls a handler, with its fields, its error and its button; without JavaScript too."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import render_attributes
from htmx_live.views.component import (
    LiveComponent,
    Options,
    build_loading_attributes,
    build_on_attributes,
    merge_given_attributes,
    option,
)

__all__ = ["LiveForm"]


class LiveForm(LiveComponent):
    """A form of the live view.  CSRF token, hidden fields, method, action and enctype are its own business."""

    template_file = "htmx_live/live_form.html"
    positional_options = ("handler",)
    slot_descriptions = {
        "fields": "the fields, in place of form=; also what is between the tags",
        "error": "what stands above the fields, in place of error=",
        "actions": "the buttons, in place of submit=",
    }
    own_attributes = "autocomplete name novalidate target enctype"

    class Kwargs(Options):
        handler: str = option("save", "The handler that gets what was typed.")
        on: str = option("submit", "The event, as in hx-trigger.")
        args: Any = option(None, "Values for the handler: args:pk=row.pk")
        form: Any = option(None, "A Django form or formset to show.")
        error: str = option("", "What went wrong, above the fields.")
        submit: str = option(_("Save"), "The button's label. Empty: no button.")
        busy: str = option(_("Saving…"), "The button's label while it works.")
        button: str = option("", "Classes of the button: “btn btn-primary”.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own: dict[str, Any] = {"class": "live-form", **build_on_attributes(options.on, options.handler, options.args)}
        if options.form is not None and options.form.is_multipart():
            own["enctype"] = "multipart/form-data"
        return {
            "attrs": merge_given_attributes(own, options.attrs),
            "form": options.form,
            "error": options.error,
            "submit": options.submit,
            "busy": options.busy,
            "button": {"type": "submit", "class": options.button or "live-button"},
            "disable": render_attributes(build_loading_attributes("disable", options=Options())),
            "swap": render_attributes(build_loading_attributes(options=Options(), **{"class": "live-swapped"})),
        }
