"""``live_stream``: the place of a text that arrives bit by bit."""

from typing import Any, Literal

from htmx_live.events.attributes import render_attributes
from htmx_live.views.component import LiveComponent, Options, build_loading_attributes, merge_given_attributes, option

__all__ = ["LiveStream"]


class LiveStream(LiveComponent):
    """Shows what ``self.stream_text(name, …)`` writes.  A screen reader is not interrupted by each word."""

    template_file = "htmx_live/live_stream.html"
    positional_options = ("name",)
    slot_descriptions = {"empty": "what is shown before the first word, in place of empty="}

    class Kwargs(Options):
        name: str = option("", "The stream's name.")
        label: str = option("", "Its name for screen readers.")
        empty: str = option("", "What is shown before the first word.")
        for_: str = option("", "Handlers or jobs that write it: a caret blinks meanwhile.")
        tag: Literal["span", "div", "pre", "p"] = option("span", "The element of the text itself.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        own = {"class": "live-text", "role": "log", "aria-live": "off"}
        if options.label:
            own["aria-label"] = str(options.label)
        caret = render_attributes(build_loading_attributes("show", options=options)) if options.for_ else ""
        return {
            "attrs": merge_given_attributes(own, options.attrs),
            "name": options.name,
            "tag": options.tag,
            "empty": options.empty,
            "caret": caret,
        }
