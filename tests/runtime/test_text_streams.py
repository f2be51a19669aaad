"""Text streams: what is written appears in order, once, and not too often."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from htmx_live import LiveView, event_handler
from htmx_live.backends.wire import page_channel
from htmx_live.core.exceptions import TurnError
from htmx_live.runtime.inbox_messages import AppendText
from htmx_live.runtime.job_control import TextStreamWriter
from htmx_live.runtime.services import services
from htmx_live.testing import LiveClient, ManualClock
from tests.working_views import HOOKS, Work

Live = Callable[..., LiveClient]


@pytest.fixture(autouse=True)
def without_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    HOOKS.clear()
    yield
    HOOKS.clear()


@pytest.fixture
def page(live: Live) -> LiveClient:
    return live(Work)


def start(page: LiveClient, job: str) -> LiveClient:
    return page.send("start", {"job": job, "name": "job"})


def shown(page: LiveClient) -> str:
    """The HTML inside the stream's element."""
    return page.html.partition('data-live-stream="log"')[2].partition(">")[2].partition("</span>")[0]


# The pen


@pytest.fixture
def pen(live: Live) -> TextStreamWriter:
    clock: Any = services().timer
    return TextStreamWriter("0" * 32, lambda: [page_channel("f" * 32)], timer=clock)


def frames() -> list[Any]:
    transport: Any = services().bus
    return [message for message in transport.messages if message.event == "append"]


def test_the_first_piece_goes_out_at_once_and_the_next_ones_together(pen: TextStreamWriter) -> None:
    clock: Any = services().timer
    for piece in ("a", "b", "c"):
        pen.write(AppendText(stream="log", text=piece))
    assert len(frames()) == 1
    clock.advance(0.05)
    assert [frame.data.partition('"text": ')[2] for frame in frames()] == ['"a"}', '"bc"}']


def test_at_most_twenty_frames_a_second_carry_a_thousand_pieces(pen: TextStreamWriter) -> None:
    clock: Any = services().timer
    for _ in range(1000):
        pen.write(AppendText(stream="log", text="x"))
        clock.advance(0.001)
    pen.flush()
    text = services().bus.text(f"live-{'0' * 32}-s-log")
    assert text is not None and text.text == "x" * 1000
    assert len(frames()) <= 21


def test_a_replacement_puts_aside_what_waits(pen: TextStreamWriter) -> None:
    for piece, replace in (("a", False), ("b", False), ("c", True), ("d", False)):
        pen.write(AppendText(stream="log", text=piece, replace=replace))
    pen.flush()
    text = services().bus.text(f"live-{'0' * 32}-s-log")
    assert (text and text.text, len(frames())) == ("cd", 2)


def test_a_pen_of_a_job_that_is_not_wanted_writes_nothing(live: Live) -> None:
    clock: Any = services().timer
    pen = TextStreamWriter("0" * 32, lambda: None, timer=clock)
    pen.write(AppendText(stream="log", text="late"))
    pen.flush()
    assert (frames(), pen.is_cancelled) == ([], True)


def test_a_manual_clock_makes_calls_in_the_order_of_their_times() -> None:
    clock, calls = ManualClock(0), []
    for when in (3, 1, 2, 9):
        clock.call_at(when, lambda when=when: calls.append((when, clock())))
    clock.advance(5)
    assert (calls, clock()) == ([(1, 1), (2, 2), (3, 3)], 5)


# On the page


def test_text_of_a_job_appears_while_it_runs(page: LiveClient) -> None:
    seen: list[str] = []
    HOOKS["told"] = lambda: seen.append(shown(page))
    HOOKS["told all"] = lambda: (seen.append(shown(page)), page.advance(0.05), seen.append(shown(page)))
    start(page, "tell").run_jobs()
    assert seen == ["one ", "one ", "one &lt;two&gt; three"]


def test_all_text_is_there_when_the_job_ends(page: LiveClient) -> None:
    start(page, "tell").run_jobs()
    assert (shown(page), page.pending) == ("one &lt;two&gt; three", [])


def test_text_survives_a_reload_and_a_render(page: LiveClient) -> None:
    start(page, "tell").run_jobs()
    page.click("click")
    assert shown(page) == "one &lt;two&gt; three"
    page.reload()
    assert shown(page) == "one &lt;two&gt; three"


def test_a_page_that_lost_its_stream_catches_up(page: LiveClient) -> None:
    HOOKS["told"] = page.disconnect
    start(page, "tell").run_jobs()
    assert shown(page) == "one "
    page.reconnect()
    assert (shown(page), page.pending) == ("one &lt;two&gt; three", [])


def test_replacing_shows_the_new_text_only(page: LiveClient) -> None:
    start(page, "tell_anew").run_jobs()
    assert shown(page) == "final"


def test_a_stream_that_was_ended_begins_anew(page: LiveClient) -> None:
    start(page, "tell_twice").run_jobs()
    assert (page.state["b"], page.state["a"], shown(page)) == ("first", "second", "second")


def test_async_twins_write_and_flush(page: LiveClient) -> None:
    seen: list[Any] = []
    HOOKS["flushed"] = lambda: seen.append((shown(page), page.state["a"]))
    start(page, "tell_async").run_jobs()
    assert seen == [("async", 1)]


def test_stream_text_stops_a_cancelled_job_and_writes_nothing_late(page: LiveClient) -> None:
    reached: list[str] = []
    HOOKS["told"] = lambda: page.send("stop", {"name": "job"})
    HOOKS["told all"] = lambda: reached.append("told all")
    start(page, "tell").run_jobs()
    assert (shown(page), reached) == ("one ", [])


def test_a_handler_writes_and_reads_its_own_text(page: LiveClient) -> None:
    page.send("write", {"text": "a"})
    page.send("write", {"text": "b"})
    assert (shown(page), page.state["b"]) == ("ab", "ab")
    page.send("write", {"text": "c", "mode": "replace"})
    assert (shown(page), page.state["b"]) == ("c", "c")


def test_a_handler_ends_a_stream(page: LiveClient) -> None:
    page.send("write", {"text": "a"})
    page.send("end_log", {})
    assert page.state["b"] == ["a", False]
    page.reload()
    assert shown(page) == ""


class Telling(LiveView):
    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = ""

    @event_handler
    def tell(self) -> None:
        for name in ("one", "other"):
            self.stream_text(name, name)
        self.streams.pop("other")
        self.count = self.streams["one"]


def test_the_end_of_a_stream_is_not_that_of_another(live: Live) -> None:
    assert live(Telling).send("tell", {}).state["count"] == "one"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": "a", "mode": "prepend"}, "expected 'append' or 'replace'"),
        ({"text": "a", "stream": "a b"}, "letters, digits, - and _"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(page: LiveClient, values: dict[str, str], reason: str) -> None:
    with pytest.raises(TurnError, match=reason):
        page.send("write", values)
