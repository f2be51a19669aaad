"""``live_button``: a button that calls a handler, says so while it works, and keeps its width and the focus."""

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import flatten
from htmx_live.views.component import LiveComponent, Options, loading_attributes, merged, option, trigger_attributes

__all__ = ["LiveButton"]


class LiveButton(LiveComponent):
    """Calls a handler of the live view, or submits the form that it stands in."""

    template_file = "htmx_live/live_button.html"
    positional = ("handler",)
    slot_help = {
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

    def show(self, given: Kwargs) -> dict[str, Any]:
        own: dict[str, Any] = {
            "type": given.type or ("button" if given.handler else "submit"),
            "class": "" if given.attrs.get("class") else "live-button",
        }
        if given.handler:
            own |= trigger_attributes(given.on, given.handler, given.args)
        if given.disable:
            own |= loading_attributes("disable", given=Options())
        key = own.get("data-live-key", "")
        swap = loading_attributes(given=given, **{"class": "live-swapped"}, **({"key": key} if key else {}))
        return {
            "attrs": merged(own, given.attrs),
            "swap": flatten(swap),
            "label": given.label,
            "busy": given.busy,
            "spinner": given.spinner,
        }
