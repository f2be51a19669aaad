"""The watcher drops what has expired in this process's memory."""

import pytest

from htmx_live.backends.memory.bus import MemoryBus
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.records import Owner, Record
from htmx_live.jobs.watchdog import NoWatcher, Watcher
from htmx_live.progress.memory_store import MemoryKeeping
from htmx_live.progress.model import Row, Session
from htmx_live.progress.store import override_keeping
from htmx_live.runtime.services import override, parts
from htmx_live.testing import LiveClient, ManualClock
from tests.working_views import Work

DAY = 86_400


def test_a_round_of_the_watcher_drops_what_has_expired() -> None:
    clock = ManualClock()
    store, bus, place = MemoryStore(clock=clock), MemoryBus(clock=clock), MemoryKeeping(clock=clock)
    store.create(Record(instance="one", view="app.View", owner=Owner(), pages=("p",)))
    bus.publish(["page:p"], "target", "<p>")
    bus.append(["page:p"], "text", "words")
    place.create(Session(id="s", owner=Owner(), created=0, names={"a": "A"}, weights={}), {"a": Row()})
    with override(store=store, bus=bus), override_keeping(place):
        clock.advance(DAY + 1)
        Watcher(lambda: store, clock=clock).ask()
    assert [len(table) for table in (store._entries, bus._logs, bus._texts, place._entries)] == [0, 0, 0, 0]


class NotedWatcher(NoWatcher):
    is_started = False

    def start(self) -> None:
        self.is_started = True


@pytest.mark.django_db
def test_the_first_record_of_a_process_starts_its_watcher(live: type[LiveClient]) -> None:
    watcher = NotedWatcher()
    with override(watcher=watcher):
        live(Work)
        assert (parts().watcher is watcher, watcher.is_started) == (True, True)
