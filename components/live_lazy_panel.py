"""``live_lazy_panel``: a part of the page that is loaded when the page stands, or when it comes into view."""

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import flatten
from htmx_live.views.component import LiveComponent, Options, is_pushed, merged, option

__all__ = ["LiveLazyPanel"]

_TRIGGERS = {"load": "load", "visible": "revealed"}


class LiveLazyPanel(LiveComponent):
    """Loads ``url`` into its place, with a button to try again if that fails and a link without JavaScript."""

    template_file = "htmx_live/live_lazy_panel.html"
    positional = ("url",)
    slot_help = {
        "placeholder": "what is shown until it comes; also what is between the tags",
        "error": "what is said when it did not come, before the button to try again",
    }

    class Kwargs(Options):
        url: str = option("", "Where its HTML comes from: a panel's, or any view that answers with a part of a page.")
        when: Literal["load", "visible", "click"] = option("load", "When it is asked for.")
        label: str = option(_("Loading…"), "What is said until it comes, if nothing is between the tags.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        own = {
            "class": "layout-panel live-panel",
            "data-layout-panel": given.url,
        }
        ask = {"hx-get": given.url, "hx-swap": "outerHTML", "hx-push-url": "false"}
        if given.when == "click":
            ask["hx-target"] = "closest [data-layout-panel]"
        else:
            own |= ask | {"hx-trigger": _TRIGGERS[given.when], "hx-target": "this", "aria-busy": "true"}
        return {
            "attrs": merged(own, given.attrs),
            "url": given.url,
            "label": given.label,
            "button": flatten(ask) if given.when == "click" else "",
            "script": not is_pushed(),
        }
