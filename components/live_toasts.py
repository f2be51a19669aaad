"""``live_toasts``: the place on the page where toasts appear."""

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from htmx_live.component import LiveComponent, Options, merged, option

__all__ = ["LiveToasts"]


class LiveToasts(LiveComponent):
    """Notices, messages and errors of the page stand here.  Without it they stand in the lower corner at the end."""

    template_file = "htmx_live/live_toasts.html"

    class Kwargs(Options):
        position: Literal["bottom-end", "bottom-start", "top-end", "top-start", "static"] = option(
            "bottom-end", "The corner of the window; static: where the component stands."
        )
        label: str = option(_("Notifications"), "The region's name for screen readers.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        own = {
            "class": "live-toasts",
            "data-live-toasts": "",
            "data-at": given.position,
            "role": "region",
            "aria-label": str(given.label),
        }
        return {"attrs": merged(own, given.attrs)}
