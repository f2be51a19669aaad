"""``live_progress``: a session of long work, with a bar per task; live on any page."""

from typing import Any

from htmx_live.progress.fragments import progress_card
from htmx_live.views.component import LiveComponent, Options, merged, option

__all__ = ["LiveProgress"]


class LiveProgress(LiveComponent):
    """Shows a ProgressSession and keeps what it shows up to date, with buttons to cancel and to try again."""

    template_file = "htmx_live/live_progress.html"
    positional = ("session",)
    slot_help = {"empty": "what is shown when the session is gone; also what is between the tags"}

    class Kwargs(Options):
        session: Any = option("", "A ProgressSession or its id.")
        tasks: Any = option("", "The ids of the tasks to show; else all.")
        redirect: str = option("", "Where the page goes when all is done.")
        event: str = option("", "The DOM event that is fired at the end.")
        cancel: Any = option(None, "True lets anybody who sees a session without an owner cancel it.")

    def show(self, given: Kwargs) -> dict[str, Any]:
        tasks = given.tasks.split() if isinstance(given.tasks, str) else given.tasks
        card = progress_card(
            given.session,
            [str(task) for task in tasks],
            request=self.request or self.context.get("request"),
            redirect=given.redirect,
            event=given.event,
            may_cancel=given.cancel,
        )
        return {"attrs": merged({"class": "live-work"}, given.attrs), "card": card}
