"""``live_cancel_button``: ends a session of long work, wherever it runs; without JavaScript too."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.views.component import LiveComponent, Options, merged, option, progress_addresses

__all__ = ["LiveCancelButton"]


class LiveCancelButton(LiveComponent):
    """Cancels a ProgressSession.  Only its owner gets the button.

    It stays on the page when the work has ended; the button on the card of ``{% progress %}`` goes.
    """

    template_file = "htmx_live/live_cancel_button.html"
    positional = ("session",)
    slot_help = {"label": "the label; also what is between the tags"}

    class Kwargs(Options):
        session: Any = option("", "A ProgressSession or its id.")
        label: str = option(_("Cancel"), "The label, if it is not between the tags.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        addresses = progress_addresses(given.session, self.request or self.context.get("request"))
        own = {"type": "submit", "class": "" if given.attrs.get("class") else "live-button"}
        return {"attrs": merged(own, given.attrs), "url": addresses["cancel"], "label": given.label}
