"""The site of a cluster: a view of each visitor's own, a view that all share, and what is rolled back."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from htmx_live import LiveView, Topic, UserError, event_handler, notify, push_to_view, send_fragment
from htmx_live.backends import bus
from htmx_live.progress import ProgressSession

OLD = os.environ.get("FAULTS_VERSION") == "old"
STEPS = 30


def begin(file: str) -> None:
    """One line for each time that a job has begun."""
    with open(file, "a") as lines:
        lines.write(f"{os.getpid()}\n")


class Desk(LiveView):
    """``ended`` lists what became of its jobs."""

    template_name = "faults/desk.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.clicks = self.heard = 0
        self.ended: list[str] = []

    def hear(self, number: int) -> None:
        self.heard = number

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    def hold(self, file: str) -> None:
        """A turn that lasts until the file's twin ``.go`` is there."""
        self.work(file)

    @event_handler
    def start(self, file: str, retries: int = 0) -> None:
        self.start_async(self.work, file, name="work", retries=retries)

    def work(self, file: str) -> int:
        """Until the file's twin ``.go`` is there."""
        begin(file)
        while not Path(f"{file}.go").exists():
            time.sleep(0.02)
        return 42

    @event_handler
    def fail(self, file: str) -> None:
        """Asks for everything, and is rolled back."""
        self.clicks = 1000
        self.start_async(self.work, file, name="work")
        self.notify("never")
        push_to_view(Desk, state={"heard": 1000})
        raise UserError("rolled back")

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.ended = [*self.ended, f"{name}: {error.kind if error else result}"]


class Board(LiveView):
    """Counts what comes from everywhere at once."""

    template_name = "faults/board.html"
    scope = "shared"
    tick_interval = 100

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.clicks = self.ticks = self.heard = self.one = self.two = 0
        self.ended: list[str] = []
        self.is_busy = False

    def handle_tick(self) -> None:
        if self.is_busy:  # else nothing changes, and nothing is sent
            self.ticks += 1

    def hear(self) -> None:
        self.heard += 1

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    def start(self) -> None:
        self.is_busy = True
        self.start_async(self.count_one, name="one")
        self.start_async(self.count_two, name="two")

    def count_one(self) -> None:
        for _ in range(STEPS):
            self.one += 1
            self.flush()
            time.sleep(0.02)

    def count_two(self) -> None:
        for _ in range(STEPS):
            self.two += 1
            self.flush()
            time.sleep(0.02)

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.ended = sorted([*self.ended, f"{name}: {error.kind if error else result}"])
        self.is_busy = len(self.ended) < 2


class Search(LiveView):
    """A field whose every change is an event, and a short job."""

    template_name = "faults/search.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.q, self.clicks, self.done = "", 0, 0

    @event_handler
    def search(self, q: str) -> None:
        self.q = q

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    def start(self) -> None:
        self.start_async(time.sleep, 0.3, name="work")

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.done += 1


class Deployed(LiveView):
    """Before a deployment and after it: a handler, an argument and a part of the state have other names."""

    template_name = "faults/deployed.html"
    total, note = 0, "is new"  # in states of before the deployment these are not
    count: int | str = ""  # nor is this in those of after it

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.looks = 0
        if OLD:
            self.count = 0
        else:
            self.total, self.note = 0, "is new"

    if OLD:

        @event_handler
        def add(self, number: int) -> None:
            self.count += number

    else:

        @event_handler
        def increase(self, by: int = 1) -> None:
            self.total += by

    @event_handler
    def look(self, closely: bool = False) -> None:
        """The same in both."""
        self.looks += 1


class Renamed(LiveView):
    """A deployment calls its attribute ``amount`` where it was ``n``, and gives it no default."""

    template_name = "faults/renamed.html"
    tick_interval = 60_000

    if OLD:

        def mount(self, request: Any, **kwargs: Any) -> None:
            self.n = 0

        @event_handler
        def click(self) -> None:
            self.n += 1

    else:

        def mount(self, request: Any, **kwargs: Any) -> None:
            self.amount = 0

        @event_handler
        def click(self) -> None:
            self.amount += 1

        def hear(self, number: int) -> None:
            self.amount += number


def report(file: str) -> None:
    """A task with progress."""
    begin(file)


@csrf_exempt
def push(request: HttpRequest) -> JsonResponse:
    """Push a number to every desk, and to every view that was renamed in part."""
    payload = {"number": int(request.GET["number"])}
    views = (Desk,) if OLD else (Desk, Renamed)
    return JsonResponse({"counts": [push_to_view(view, handler="hear", payload=payload) for view in views]})


def roll_back(request: HttpRequest) -> JsonResponse:
    """Asks for everything in a transaction that fails; where the bus stood before and after."""
    before, told = bus().position(), request.GET["file"]
    with suppress(ZeroDivisionError), transaction.atomic(savepoint=True):
        push_to_view(Desk, state={"heard": 1000})
        push_to_view(Board, handler="hear")
        notify(request, "never")
        send_fragment("news", html="never", to=Topic("news"))
        ProgressSession.create({"report": "Report"}, owner=request).run("report", report, told)
        raise ZeroDivisionError
    return JsonResponse({"before": before, "after": bus().position()})


urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("", lambda request: HttpResponse("ready")),
    *[path(f"{view.__name__}/", view.as_view()) for view in (Desk, Board, Search, Deployed, Renamed)],
    path("push/", push),
    path("roll-back/", roll_back),
]
