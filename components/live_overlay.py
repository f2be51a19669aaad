"""``live_overlay``: covers what it is put into while something is under way."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.views.component import LiveComponent, Options, loading_attributes, merged, option

__all__ = ["LiveOverlay"]


class LiveOverlay(LiveComponent):
    """A veil with a spinner over the element around it, or over the whole page."""

    template_file = "htmx_live/live_overlay.html"
    positional = ("for_",)
    slot_help = {"label": "what the veil says, in place of label=; also what is between the tags"}

    class Kwargs(Options):
        for_: str = option("", "Handlers or jobs, “*:” before a name for any view; else the trigger around it.")
        key: Any = option(None, "One row of many: the key of its job.")
        delay: int | str = option(200, "Milliseconds before it appears: what is quicker does not flicker.")
        min: int | str = option(0, "Milliseconds for which it stays at least.")
        label: str = option(_("Loading…"), "What it says.")
        page: bool = option(False, "Whether it covers the whole page.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        own = {"class": f"live-overlay{' live-page' if given.page else ''}", "role": "status"}
        own |= loading_attributes("show", given=given, display="grid")
        return {"attrs": merged(own, given.attrs), "label": given.label}
