"""``live_progress_list``: all work of the user that runs."""

from typing import Any

from htmx_live.progress.fragments import progress_list
from htmx_live.views.component import LiveComponent, Options, merge_given_attributes, option

__all__ = ["LiveProgressList"]


class LiveProgressList(LiveComponent):
    """Lists the running sessions of whose page this is; what starts later appears by itself."""

    template_file = "htmx_live/live_progress_list.html"
    slot_descriptions = {"empty": "what is shown while nothing runs, in place of empty="}

    class Kwargs(Options):
        empty: str = option("", "What is shown while nothing runs.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        rows = progress_list(request=self.request or self.context.get("request"))
        return {
            "attrs": merge_given_attributes({"class": "live-work"}, options.attrs),
            "list": rows,
            "empty": options.empty,
        }
