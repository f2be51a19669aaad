"""``live_button``: a button that calls a handler, says so while it works, and keeps its width and the focus."""

from typing import Any, Literal

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

__all__ = ["LiveButton"]


class LiveButton(LiveComponent):
    """Calls a handler of the live view, or submits the form that it stands in."""

    template_file = "htmx_live/live_button.html"
    positional_options = ("handler",)
    slot_descriptions = {
        "label": "the label; also what is between the tags",
        "icon": "stands before the label, and gives way to the spinner",
        "busy": "the label while it works, in place of busy=",
    }
    own_attributes = "disabled form formaction name value"

    class Kwargs(Options):
        handler: str = option("", "The handler to call. Without one the button submits its form.")
        on: str = option("click", "The event, as in hx-trigger.")
        args: Any = option(None, "Values for the handler: args:pk=row.pk")
        label: str = option("", "The label, if it is not between the tags.")
        busy: str = option(_("Working…"), "The label while it works. Empty: the label stays, the spinner covers it.")
        spinner: bool = option(True, "Whether a spinner turns while it works.")
        disable: bool = option(True, "Whether a second click waits until the first is done.")
        delay: int | str = option(0, "Milliseconds before it looks busy.")
        min: int | str = option(0, "Milliseconds for which it looks busy at least.")
        type: Literal["", "button", "submit", "reset"] = option("", "HTML's type; submit without a handler.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own: dict[str, Any] = {
            "type": options.type or ("button" if options.handler else "submit"),
            "class": "" if options.attrs.get("class") else "live-button",
        }
        if options.handler:
            own |= build_on_attributes(options.on, options.handler, options.args)
        if options.disable:
            own |= build_loading_attributes("disable", options=Options())
        key = own.get("data-live-key", "")
        swap = build_loading_attributes(options=options, **{"class": "live-swapped"}, **({"key": key} if key else {}))
        return {
            "attrs": merge_given_attributes(own, options.attrs),
            "swap": render_attributes(swap),
            "label": options.label,
            "busy": options.busy,
            "spinner": options.spinner,
        }
