"""The soak's site: a view of each visitor's own, a shared one, work with progress, login and logout."""

import time
from typing import Any

from django.contrib.auth import get_user_model, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from htmx_live import LiveView, background, event_handler, notify
from htmx_live.progress import ProgressSession, accepted, current_task
from tests.soak import LINES

STEPS = 10  # of a task with progress
PAUSE = 0.02  # seconds between two of either


class Desk(LiveView):
    """Counts clicks, writes text in a job, and sends its user notices."""

    template_name = "soak/desk.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.clicks = self.jobs = 0

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    @background
    def write(self) -> None:
        for number in range(LINES):
            self.stream_text("log", f"line {number} of this job\n")
            time.sleep(PAUSE)
        self.jobs += 1

    @event_handler
    def tell(self) -> None:
        self.clicks += 1
        notify(self.request, "Your desk has news.")


class Board(LiveView):
    """One board for everybody, which changes by itself too."""

    template_name = "soak/board.html"
    scope = "shared"
    tick_interval = 1000

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.clicks = self.ticks = 0

    def handle_tick(self) -> None:
        self.ticks += 1

    @event_handler
    def click(self) -> None:
        self.clicks += 1


def count_steps() -> None:
    """A task with progress."""
    task = current_task()
    assert task is not None
    for number in range(STEPS):
        task.update(current=number + 1, total=STEPS)
        time.sleep(PAUSE)


@csrf_exempt
def start(request: HttpRequest) -> HttpResponseBase:
    session = ProgressSession.create({"one": "Step by step", "two": "At the same time"}, owner=request)
    for task in ("one", "two"):
        session.run(task, count_steps)
    return accepted(request, session)


def card(request: HttpRequest, session: str) -> HttpResponse:
    return render(request, "soak/card.html", {"session": session})


@csrf_exempt
def sign_in(request: HttpRequest, number: int) -> HttpResponse:
    user, _ = get_user_model().objects.get_or_create(username=f"visitor-{number}")
    login(request, user)
    return HttpResponse(status=204)


@csrf_exempt
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse(status=204)


urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("", lambda request: HttpResponse("ready")),
    path("desk/", Desk.as_view()),
    path("board/", Board.as_view()),
    path("start/", start),
    path("card/<session>/", card),
    path("sign-in/<int:number>/", sign_in),
    path("sign-out/", sign_out),
]
