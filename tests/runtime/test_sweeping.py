"""The watcher drops what has expired in this process's memory."""

import pytest

from htmx_live.backends.memory.bus import MemoryBus
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.records import Owner, Record
from htmx_live.jobs.watchdog import DeadlineMonitor, NoDeadlineMonitor
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.model import SessionHeader, TaskState
from htmx_live.progress.store import override_progress_store
from htmx_live.runtime.services import override_services, services
from htmx_live.testing import LiveClient, ManualClock
from tests.working_views import Work

DAY = 86_400


def test_a_round_of_the_watcher_drops_what_has_expired() -> None:
    clock = ManualClock()
    store, bus, place = MemoryStore(clock=clock), MemoryBus(clock=clock), MemoryProgressStore(clock=clock)
    store.create(Record(instance="one", view="app.View", owner=Owner(), pages=("p",)))
    bus.publish(["page:p"], "target", "<p>")
    bus.append(["page:p"], "text", "words")
    place.create(SessionHeader(id="s", owner=Owner(), created=0, names={"a": "A"}, weights={}), {"a": TaskState()})
    with override_services(store=store, bus=bus), override_progress_store(place):
        clock.advance(DAY + 1)
        DeadlineMonitor(lambda: store, clock=clock).poll()
    assert [len(table) for table in (store._entries, bus._logs, bus._texts, place._entries)] == [0, 0, 0, 0]


class NotedWatcher(NoDeadlineMonitor):
    is_started = False

    def start(self) -> None:
        self.is_started = True


@pytest.mark.django_db
def test_the_first_record_of_a_process_starts_its_watcher(live: type[LiveClient]) -> None:
    watcher = NotedWatcher()
    with override_services(deadline_monitor=watcher):
        live(Work)
        assert (services().deadline_monitor is watcher, watcher.is_started) == (True, True)
