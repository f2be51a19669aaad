"""``live_view``: a live view in a page or in another live view."""

from typing import Any, ClassVar

from htmx_live.views.component import LiveComponent, Options, option, view_html

__all__ = ["LiveViewPlace"]


class LiveViewPlace(LiveComponent):
    """Mounts a live view here.  What is no argument of the component goes to the view's ``mount()``."""

    template_file = "htmx_live/live_view.html"
    positional = ("view",)
    slot_help = {"denied": "what is between the tags: what a user without permission sees in its place"}

    class Kwargs(Options):
        takes_rest: ClassVar[bool] = True

        view: Any = option("", "The dotted path of the class, or the class.")
        key: Any = option(None, "What tells it from others of its class; needed in a loop.")
        tag: str = option("", "The root's element, if not the class's root_tag.")
        class_: str = option("", "Classes of the root.")

    @classmethod
    def registered_as(cls) -> str:
        return "live_view"

    def show(self, given: Kwargs) -> dict[str, Any]:
        options = {"key": given.key, "tag": given.tag, "class": given.class_, **given.attrs}
        return {"html": view_html(self.context, self.request, given.view, options)}
