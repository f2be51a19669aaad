"""``live_form``: a form that calls a handler, with its fields, its error and its button; without JavaScript too."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import flatten
from htmx_live.views.component import LiveComponent, Options, loading_attributes, merged, option, trigger_attributes

__all__ = ["LiveForm"]


class LiveForm(LiveComponent):
    """A form of the live view.  CSRF token, hidden fields, method, action and enctype are its own business."""

    template_file = "htmx_live/live_form.html"
    positional = ("handler",)
    slot_help = {
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

    def show(self, given: Kwargs) -> dict[str, Any]:
        own: dict[str, Any] = {"class": "live-form", **trigger_attributes(given.on, given.handler, given.args)}
        if given.form is not None and given.form.is_multipart():
            own["enctype"] = "multipart/form-data"
        return {
            "attrs": merged(own, given.attrs),
            "form": given.form,
            "error": given.error,
            "submit": given.submit,
            "busy": given.busy,
            "button": {"type": "submit", "class": given.button or "live-button"},
            "disable": flatten(loading_attributes("disable", given=Options())),
            "swap": flatten(loading_attributes(given=Options(), **{"class": "live-swapped"})),
        }
