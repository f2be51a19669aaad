"""``live_retry_button``: runs what failed in a session once more; without JavaScript too."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from htmx_live.views.component import LiveComponent, Options, get_progress_urls, merge_given_attributes, option

__all__ = ["LiveRetryButton"]


class LiveRetryButton(LiveComponent):
    """Tries again what failed or was cancelled in a ProgressSession.  Only who owns it sees the button."""

    template_file = "htmx_live/live_retry_button.html"
    positional_options = ("session",)
    slot_descriptions = {"label": "the label; also what is between the tags"}

    class Kwargs(Options):
        session: Any = option("", "A ProgressSession or its id.")
        label: str = option(_("Try again"), "The label, if it is not between the tags.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        addresses = get_progress_urls(options.session, self.request or self.context.get("request"))
        own = {"type": "submit", "class": "" if options.attrs.get("class") else "live-button"}
        return {"attrs": merge_given_attributes(own, options.attrs), "url": addresses["retry"], "label": options.label}
