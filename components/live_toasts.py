"""``live_toasts``: the place on the page where toasts appear, in the corner that it names."""

from typing import Any, Literal

from htmx_live.views.component import LiveComponent, Options, merge_given_attributes, option, render_toasts

__all__ = ["LiveToasts"]


class LiveToasts(LiveComponent):
    """Notices, messages and errors of the page stand here.  It does what the tag toasts does, in any corner."""

    template_file = "htmx_live/live_toasts.html"

    class Kwargs(Options):
        position: Literal["bottom-end", "bottom-start", "top-end", "top-start", "static"] = option(
            "bottom-end", "The corner of the window; static: where the component stands."
        )
        messages: bool = option(False, "Whether messages of django.contrib.messages stand here too.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        toasts = render_toasts(self.request or self.context.get("request"), messages=options.messages)
        return {"attrs": merge_given_attributes({"data-at": options.position}, options.attrs), "toasts": toasts}
