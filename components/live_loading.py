"""``live_loading``: one thing while something is under way, another while it is not."""

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from htmx_live.events.attributes import render_attributes
from htmx_live.views.component import LiveComponent, Options, build_loading_attributes, merge_given_attributes, option

__all__ = ["LiveLoading"]


class LiveLoading(LiveComponent):
    """What is between its tags while it loads; the slot ``idle`` otherwise."""

    template_file = "htmx_live/live_loading.html"
    positional_options = ("for_",)
    slot_descriptions = {
        "busy": "what is shown while it loads; also what is between the tags",
        "idle": "what is shown while it does not",
    }

    class Kwargs(Options):
        for_: str = option("", "Handlers or jobs, “*:” before a name for any view; else the trigger around it.")
        key: Any = option(None, "One row of many: the key of its job.")
        delay: int | str = option(200, "Milliseconds before it appears: what is quicker does not flicker.")
        min: int | str = option(0, "Milliseconds for which it stays at least.")
        label: str = option(_("Loading…"), "What it says if nothing is between the tags.")
        tag: Literal["div", "span", "p"] = option("div", "Its element.")
        announce: bool = option(False, "Whether a screen reader is told; for what takes long, not for every row.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own = {"class": "live-wait", **({"role": "status"} if options.announce else {})}
        return {
            "attrs": merge_given_attributes(own, options.attrs),
            "busy": render_attributes(build_loading_attributes("show", options=options)),
            "idle": render_attributes(build_loading_attributes("hide", options=options)),
            "label": options.label,
            "tag": options.tag,
        }
