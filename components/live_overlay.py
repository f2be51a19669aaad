"""``live_overlay``: covers what it is put into while something is under way."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.views.component import LiveComponent, Options, build_loading_attributes, merge_given_attributes, option

__all__ = ["LiveOverlay"]


class LiveOverlay(LiveComponent):
    """A veil with a spinner over the element around it, or over the whole page."""

    template_file = "htmx_live/live_overlay.html"
    positional_options = ("for_",)
    slot_descriptions = {"label": "what the veil says, in place of label=; also what is between the tags"}

    class Kwargs(Options):
        for_: str = option("", "Handlers or jobs, “*:” before a name for any view; else the trigger around it.")
        key: Any = option(None, "One row of many: the key of its job.")
        delay: int | str = option(200, "Milliseconds before it appears: what is quicker does not flicker.")
        min: int | str = option(0, "Milliseconds for which it stays at least.")
        label: str = option(_("Loading…"), "What it says.")
        page: bool = option(False, "Whether it covers the whole page.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own = {"class": f"live-overlay{' live-page' if options.page else ''}", "role": "status"}
        own |= build_loading_attributes("show", options=options, display="grid")
        return {"attrs": merge_given_attributes(own, options.attrs), "label": options.label}
