"""``live_progress``: a session of long work, with a bar per task; live on any page."""

from typing import Any

from htmx_live.progress.fragments import progress_card
from htmx_live.views.component import LiveComponent, Options, merge_given_attributes, option

__all__ = ["LiveProgress"]


class LiveProgress(LiveComponent):
    """Shows a ProgressSession and keeps what it shows up to date, with buttons to cancel and to try again."""

    template_file = "htmx_live/live_progress.html"
    positional_options = ("session",)
    slot_descriptions = {"empty": "what is shown when the session is gone; also what is between the tags"}

    class Kwargs(Options):
        session: Any = option("", "A ProgressSession or its id.")
        tasks: Any = option("", "The ids of the tasks to show; else all.")
        redirect: str = option("", "Where the page goes when all is done.")
        event: str = option("", "The DOM event that is fired at the end.")
        cancel: Any = option(None, "True lets anybody who sees a session without an owner cancel it.")

    def build_context(self, options: Kwargs) -> dict[str, Any]:
        tasks = options.tasks.split() if isinstance(options.tasks, str) else options.tasks
        card = progress_card(
            options.session,
            [str(task) for task in tasks],
            request=self.request or self.context.get("request"),
            redirect=options.redirect,
            event=options.event,
            may_cancel=options.cancel,
        )
        return {"attrs": merge_given_attributes({"class": "live-work"}, options.attrs), "card": card}
