"""``live_connection``: tells that the connection is lost, and that it is back."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.views.component import LiveComponent, Options, merge_given_attributes, option

__all__ = ["LiveConnection"]


class LiveConnection(LiveComponent):
    """Stands in for the page's own banner.  Nothing is seen of it while all is well."""

    template_file = "htmx_live/live_connection.html"
    slot_descriptions = {
        "lost": "what is said while the connection is lost; also what is between the tags",
        "back": "what is said for a moment when it is back",
    }

    class Kwargs(Options):
        lost: str = option(_("Connection lost. Reconnecting…"), "What it says while the connection is lost.")
        back: str = option(_("Connected again"), "What it says for a moment when it is back.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own = {"class": "live-banner", "role": "status"}
        return {"attrs": merge_given_attributes(own, options.attrs), "lost": options.lost, "back": options.back}
