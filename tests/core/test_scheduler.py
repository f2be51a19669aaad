"""Ticks: calls at an interval while somebody looks."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from htmx_live import LiveView
from htmx_live.core.scheduler import Ticker
from htmx_live.runtime.services import override_services, services
from htmx_live.runtime.ticks import post_tick, start_ticking_viewed, ticking_views
from htmx_live.testing import ManualClock


class Heard:
    """Counts ticks by instance; those in ``gone`` are not looked at any more."""

    def __init__(self) -> None:
        self.ticks: list[str] = []
        self.gone: set[str] = set()

    def __call__(self, instance: str, interval: float = 0) -> bool:
        if instance == "broken":
            raise RuntimeError("cannot be posted")
        self.ticks.append(instance)
        return instance not in self.gone


def ticker(clock: ManualClock, heard: Callable[[str, float], bool]) -> Ticker:
    """A ticker without its thread: the test fires it."""
    built = Ticker(heard, clock=clock)
    built._thread = object()  # type: ignore[assignment]
    return built


def test_an_instance_is_ticked_every_interval() -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    watching.schedule("a", 2.0)
    waits = [watching.run_due()]
    for _ in range(3):
        clock.advance(2)
        waits.append(watching.run_due())
    assert (heard.ticks, waits) == (["a"] * 3, [2.0] * 4)


def test_intervals_that_were_missed_are_left_out() -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    watching.schedule("a", 2.0)
    clock.advance(60)
    watching.run_due()
    assert heard.ticks == ["a"]


def test_watching_twice_ticks_once() -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    watching.schedule("a", 2.0)
    watching.schedule("a", 2.0)
    clock.advance(2)
    watching.run_due()
    assert heard.ticks == ["a"]


def test_an_instance_that_nobody_looks_at_is_forgotten_until_it_is_watched_again() -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    heard.gone.add("a")
    watching.schedule("a", 2.0)
    clock.advance(2)
    assert watching.run_due() is None
    watching.schedule("a", 2.0)
    assert watching.run_due() == 2.0


def test_a_page_that_returns_while_its_tick_finds_nobody_is_ticked_on() -> None:
    clock = ManualClock()

    def tick_at_the_wrong_moment(instance: str, interval: float) -> bool:
        watching.schedule(instance, 2.0)  # the page opens its stream right after it was looked for
        return False

    watching = ticker(clock, tick_at_the_wrong_moment)
    watching.schedule("a", 2.0)
    clock.advance(2)
    assert watching.run_due() == 2.0


def test_a_page_that_opens_another_stream_during_its_tick_is_still_ticked_once() -> None:
    clock, ticks = ManualClock(), []

    def tick_and_watch(instance: str, interval: float) -> bool:
        ticks.append(instance)
        watching.schedule(instance, 2.0)
        return True

    watching = ticker(clock, tick_and_watch)
    watching.schedule("a", 2.0)
    for _ in range(3):
        clock.advance(2)
        watching.run_due()
    assert ticks == ["a"] * 3


def test_a_tick_that_cannot_be_posted_stops_nobody(caplog: Any) -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    watching.schedule("broken", 1.0)
    watching.schedule("a", 1.0)
    clock.advance(1)
    watching.run_due()
    assert (heard.ticks, "cannot be posted" in caplog.text) == (["a"], True)


@pytest.mark.django_db
def test_a_tick_renders_what_it_changed(live: Any) -> None:
    assert live(Clock).tick().tick().text == "2"


@pytest.mark.django_db
def test_a_tick_that_fails_is_logged_and_the_next_one_runs(live: Any, caplog: Any) -> None:
    client = live(Clock)
    Clock.breaks = True
    assert client.tick().state["count"] == 0
    assert "secret detail" in caplog.text
    Clock.breaks = False
    assert client.tick().text == "1"


@pytest.mark.django_db
def test_a_page_that_is_not_looked_at_is_not_ticked(live: Any) -> None:
    client = live(Clock).disconnect().advance(60)
    assert post_tick(client.instance) is False


@pytest.mark.django_db
def test_an_instance_is_ticked_by_one_process_of_all_and_another_takes_over_when_that_dies(live: Any) -> None:
    client = live(Clock)
    services().store.acquire_lock(f"tick {client.instance}", "another process", ttl=4)
    assert post_tick(client.instance, 1.0) is True  # it stays watched here
    assert client.state["count"] == 0
    client.advance(3).tick()
    assert client.state["count"] == 0
    client.advance(2).tick()
    assert client.text == "1"


@pytest.mark.django_db
def test_a_process_that_ticks_keeps_the_others_from_it(live: Any) -> None:
    client = live(Clock).tick()
    assert not services().store.acquire_lock(f"tick {client.instance}", "another process", ttl=4)


@pytest.mark.django_db
def test_an_instance_that_nobody_looks_at_is_free_for_others(live: Any) -> None:
    client = live(Clock).tick().disconnect().advance(60)
    post_tick(client.instance)
    assert services().store.acquire_lock(f"tick {client.instance}", "another process", ttl=4)


@pytest.mark.django_db
@pytest.mark.parametrize(("ticks", "watched"), [("web", 1), ("command", 0)])
def test_a_page_has_its_views_ticked_unless_a_command_does(live: Any, settings: Any, ticks: str, watched: int) -> None:
    settings.HTMX_LIVE = {"TICKS": ticks}
    with override_services(ticker=ticker(ManualClock(), Heard())) as here:
        live(Clock)
        assert len(here.ticker.stop()) == watched


@pytest.mark.django_db
def test_what_somebody_looks_at_is_found_for_the_command(live: Any) -> None:
    shown, away = live(Clock), live(Clock)
    away.disconnect().advance(60)
    shown.sync(poll=True)
    with override_services(ticker=ticker(ManualClock(), Heard())) as here:
        assert start_ticking_viewed([Clock, Silent]) == 1
        assert here.ticker.stop() == [shown.instance]


def test_the_command_knows_the_views_that_tick() -> None:
    assert Clock in ticking_views()
    assert all(view.tick_interval for view in ticking_views())


def test_a_ticker_that_is_stopped_tells_what_it_watched_and_watches_no_more() -> None:
    clock, heard = ManualClock(), Heard()
    watching = ticker(clock, heard)
    watching.schedule("a", 2.0)
    assert watching.stop() == ["a"]
    watching.schedule("b", 2.0)
    clock.advance(2)
    assert (watching.run_due(), heard.ticks) == (None, [])


def test_the_command_says_why_it_cannot_reach_a_store_in_memory() -> None:
    with pytest.raises(CommandError, match=r"memory of the web process.*HTMX_LIVE\['REDIS_URL'\]"):
        call_command("live_ticks")


class Clock(LiveView):
    template_name = "views/clock.html"
    tick_interval = 1000
    breaks = False

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0
        type(self).breaks = False

    def handle_tick(self) -> None:
        if type(self).breaks:
            self.count = 99
            raise RuntimeError("secret detail")
        self.count += 1


class Silent(LiveView):
    template_name = "views/clock.html"
