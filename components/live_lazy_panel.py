"""``live_lazy_panel``: a part of the page that is loaded when the page stands, or when it comes into view."""

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import render_attributes
from htmx_live.views.component import LiveComponent, Options, is_rendered_as_fragment, merge_given_attributes, option

__all__ = ["LiveLazyPanel"]

_HX_TRIGGERS = {"load": "load", "visible": "revealed"}


class LiveLazyPanel(LiveComponent):
    """Loads ``url`` into its place, with a button to try again if that fails and a link without JavaScript."""

    template_file = "htmx_live/live_lazy_panel.html"
    positional_options = ("url",)
    slot_descriptions = {
        "placeholder": "what is shown until it comes; also what is between the tags",
        "error": "what is said when it did not come, before the button to try again",
    }

    class Kwargs(Options):
        url: str = option("", "Where its HTML comes from: a panel's, or any view that answers with a part of a page.")
        when: Literal["load", "visible", "click"] = option("load", "When it is asked for.")
        label: str = option(_("Loading…"), "What is said until it comes, if nothing is between the tags.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own = {
            "class": "layout-panel live-panel",
            "data-layout-panel": options.url,
        }
        load_attributes = {"hx-get": options.url, "hx-swap": "outerHTML", "hx-push-url": "false"}
        if options.when == "click":
            load_attributes["hx-target"] = "closest [data-layout-panel]"
        else:
            own |= load_attributes | {
                "hx-trigger": _HX_TRIGGERS[options.when],
                "hx-target": "this",
                "aria-busy": "true",
            }
        return {
            "attrs": merge_given_attributes(own, options.attrs),
            "url": options.url,
            "label": options.label,
            "button": render_attributes(load_attributes) if options.when == "click" else "",
            "script": not is_rendered_as_fragment(),
        }
