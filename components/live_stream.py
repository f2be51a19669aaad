"""``live_stream``: the place of a text that arrives bit by bit."""

from typing import Any, Literal

from htmx_live.events.attributes import flatten
from htmx_live.views.component import LiveComponent, Options, loading_attributes, merged, option

__all__ = ["LiveStream"]


class LiveStream(LiveComponent):
    """Shows what ``self.stream_text(name, …)`` writes.  A screen reader is not interrupted by each word."""

    template_file = "htmx_live/live_stream.html"
    positional = ("name",)
    slot_help = {"empty": "what is shown before the first word, in place of empty="}

    class Kwargs(Options):
        name: str = option("", "The stream's name.")
        label: str = option("", "Its name for screen readers.")
        empty: str = option("", "What is shown before the first word.")
        for_: str = option("", "Handlers or jobs that write it: a caret blinks meanwhile.")
        tag: Literal["span", "div", "pre", "p"] = option("span", "The element of the text itself.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        own = {"class": "live-text", "role": "log", "aria-live": "off"}
        if given.label:
            own["aria-label"] = str(given.label)
        caret = flatten(loading_attributes("show", given=given)) if given.for_ else ""
        return {
            "attrs": merged(own, given.attrs),
            "name": given.name,
            "tag": given.tag,
            "empty": given.empty,
            "caret": caret,
        }
