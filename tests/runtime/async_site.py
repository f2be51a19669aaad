"""The site on which async handlers are tested: some block the loop that they run on, some use the database."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.urls import include, path

from htmx_live import LiveView, UserError, apush_to_view, event_handler, push_to_view


class Asking(LiveView):
    template_name = "async/asking.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.last = ""

    @event_handler
    async def block(self) -> None:
        """Without an ``await``, until the test lets it go."""
        folder = Path(os.environ["ASYNC_FOLDER"])
        (folder / "blocks").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        self.last = "released"

    @event_handler
    async def rest(self) -> None:
        """As ``block()``, but as an async handler should: it awaits."""
        folder = Path(os.environ["ASYNC_FOLDER"])
        (folder / "blocks").touch()
        while not (folder / "go").exists():
            await asyncio.sleep(0.01)
        (folder / "rested").touch()

    @event_handler
    async def doze(self) -> None:
        time.sleep(0.25)

    @event_handler
    async def click_async(self) -> None:
        await asyncio.sleep(0)
        self.last = "async"
        await apush_to_view(Asking, state={"last": "pushed"})

    @event_handler
    def click(self) -> None:
        self.last = "sync"
        push_to_view(Asking, state={"last": "pushed"})

    @event_handler
    async def add(self, name: str, then: str = "") -> None:
        await Group.objects.acreate(name=name)
        self.last = ", ".join(sorted([group.name async for group in Group.objects.all()]))
        if then == "fail":
            raise UserError("rolled back")


urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("", lambda request: HttpResponse("ready")),
    path("Asking/", Asking.as_view()),
]
