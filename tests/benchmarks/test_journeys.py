"""Journeys: how many modules of the library a click, a push, a job and a progress update go through.

A profiler sees every call of a function in `htmx_live/`, `htmx_live/testing` left out, on all threads:

- *modules* are the files that were entered;
- *calls* are all calls, those of comprehensions, generators that go on, and coroutines included;
- *moves* are calls in another file than that of the call before them on the same thread.

The fixture `live` gives the parts: the store and the bus are in memory; turns, timers and jobs run at once, on the
test's own thread.  Each journey is made once before it is counted, so that nothing is built for the first time.
"""

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import htmx_live
from htmx_live import LiveView, background, event_handler, push_to_view
from htmx_live.progress import ProgressSession
from htmx_live.testing import LiveClient
from tests.benchmarks.structure import counts

pytestmark = pytest.mark.benchmark

LIBRARY = f"{Path(htmx_live.__file__).parent}/"
TESTING = f"{LIBRARY}testing/"

Live = Callable[..., LiveClient]


class Small(LiveView):
    template_name = "bench/small.html"

    def mount(self, request: Any, session: str = "", **kwargs: Any) -> None:
        self.count, self.session_id = 0, session

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"session": ProgressSession.get(self.session_id) if self.session_id else None}

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    @background
    def work(self) -> None:
        self.count += 1


class Pushed(Small):
    """A view that no other journey has opened: a push goes to all that are open."""


class Journey:
    """Calls by thread, each as its file's name."""

    def __init__(self) -> None:
        self._files: dict[int, list[str]] = defaultdict(list)

    @contextmanager
    def counted(self) -> Iterator[None]:
        set_profile(self._note)
        try:
            yield
        finally:
            set_profile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(LIBRARY) and not name.startswith(TESTING):
            self._files[threading.get_ident()].append(name)

    @property
    def modules(self) -> int:
        return len({name for files in self._files.values() for name in files})

    @property
    def calls(self) -> int:
        return sum(map(len, self._files.values()))

    @property
    def moves(self) -> int:
        return sum(name != before for files in self._files.values() for before, name in pairwise(files))


def set_profile(function: Any) -> None:
    """On this thread, on those that start from now on, and, since Python 3.12, on those that run."""
    getattr(threading, "setprofile_all_threads", threading.setprofile)(function)
    sys.setprofile(function)


@pytest.fixture(autouse=True)
def site(settings: Any) -> None:
    from tests.benchmarks import settings as chosen

    settings.TEMPLATES, settings.SESSION_ENGINE = chosen.TEMPLATES, chosen.SESSION_ENGINE


def click(live: Live) -> Journey:
    page, journey = live(Small), Journey()
    html = page.http.get("/").content.decode()
    grant, token = (re.search(f'{name}="([^"]+)"', html)[1] for name in ("data-live", "data-page"))  # type: ignore[index]
    headers = {"X-Live": grant, "X-Live-Page": token, "HX-Request": "true"}
    page.http.post("/live/event/add/", headers=headers)
    with journey.counted():
        response = page.http.post("/live/event/add/", headers=headers)
    assert "<b>2</b>" in response.content.decode()
    return journey


def push(live: Live) -> Journey:
    page, journey = live(Pushed), Journey()
    push_to_view(Pushed, state={"count": 1})
    with journey.counted():
        push_to_view(Pushed, state={"count": 2})
    assert "<b>2</b>" in page.fragments[-1]
    return journey


def job(live: Live) -> Journey:
    page, journey = live(Small), Journey()
    page.send("work", {}).run_jobs()
    page.send("work", {})
    with journey.counted():
        page.run_jobs()
    assert "<b>2</b>" in page.fragments[-1]
    return journey


def progress(live: Live) -> Journey:
    session, journey = ProgressSession.create({"import": "Import"}), Journey()
    page = live(Small, session=session.session_id)
    for current in (1, 2):
        session.update("import", current=current, total=10)
        page.advance(1)
    with journey.counted():
        session.update("import", current=3, total=10)
    assert 'aria-valuenow="30"' in page.fragments[-1]
    return journey


JOURNEYS = {
    "a click, from the request to its fragment": (click, "≤ 25, ≤ 80"),
    "a push, to the message on the bus": (push, "≤ 22, ≤ 75"),
    "a background job, its run and its end": (job, "≤ 26, ≤ 100"),
    "a progress update, to the published card": (progress, "≤ 13, ≤ 45"),
}


def test_modules_that_a_journey_goes_through(live: Live) -> None:
    print(f"\n{'journey':45}{'modules':>8}{'calls':>8}{'moves':>8}   goal (modules, moves)")
    for what, (make, goal) in JOURNEYS.items():
        journey = make(live)
        print(f"{what:45}{journey.modules:8}{journey.calls:8}{journey.moves:8}   {goal}")


def test_what_counts_of_the_source() -> None:
    rows = counts()
    print(f"\n{'source':31}{'now':38}   goal")
    for row in rows:
        print(f"{row.what:31}{row.now:38}   {row.goal}")
    for row in rows:
        if row.names:
            print(f"\n{row.what}:\n  " + "\n  ".join(row.names))
