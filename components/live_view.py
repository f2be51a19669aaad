"""``live_view``: a live view in a page or in another live view."""

from typing import Any, ClassVar

from htmx_live.views.component import LiveComponent, Options, option, render_live_view

__all__ = ["LiveViewPlace"]


class LiveViewPlace(LiveComponent):
    """Mounts a live view here.  What is no argument of the component goes to the view's ``mount()``."""

    template_file = "htmx_live/live_view.html"
    positional_options = ("view",)
    slot_descriptions = {"denied": "what is between the tags: what a user without permission sees in its place"}

    class Kwargs(Options):
        accepts_any_attribute: ClassVar[bool] = True

        view: Any = option("", "The dotted path of the class, or the class.")
        key: Any = option(None, "What tells it from others of its class; needed in a loop.")
        tag: str = option("", "The root's element, if not the class's root_tag.")
        class_: str = option("", "Classes of the root.")

    @classmethod
    def get_registered_name(cls) -> str:
        return "live_view"

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        view_options = {"key": options.key, "tag": options.tag, "class": options.class_, **options.attrs}
        return {"html": render_live_view(self.context, self.request, options.view, view_options)}
