"""The stage: the parts that live views run on in a test.

The real store and bus on a clock that the test moves, and a runner whose jobs wait for the test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from htmx_live.runners.immediate import ImmediateRunner
from htmx_live.runtime.jobs import perform
from htmx_live.runtime.parts import override
from htmx_live.runtime.watch import NoWatcher
from htmx_live.stores.memory import MemoryStore
from htmx_live.stores.notices import MemoryNotices, override_notices
from htmx_live.testing.clock import ManualClock
from htmx_live.testing.recording import RecordingTransport
from htmx_live.ticker import NoTicker
from htmx_live.transport.bus import override_bus

__all__ = ["Stage", "current_stage", "stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    clock: ManualClock
    transport: RecordingTransport
    runner: ImmediateRunner


class _AtOnce:
    """The pool of turns: a push is applied before the call that pushed returns."""

    def submit(self, call: Callable[[], None]) -> None:
        call()

    def settle(self, patience: float) -> bool:
        return True


_current: Stage | None = None
_kept: Any = None


@contextmanager
def stage() -> Iterator[Stage]:
    """A new stage for a while."""
    global _current
    clock = ManualClock()
    built = Stage(clock=clock, transport=RecordingTransport(clock=clock), runner=ImmediateRunner(perform))
    before, _current = _current, built
    chosen = override(
        store=MemoryStore(clock=clock),
        bus=built.transport,
        runner=built.runner,
        turns=_AtOnce(),
        ticker=NoTicker(),
        is_strict=True,
        timer=clock,
        watcher=NoWatcher(),
    )
    try:
        with override_bus(built.transport), override_notices(MemoryNotices(clock=clock)), chosen:
            yield built
    finally:
        _current = before


def current_stage() -> Stage:
    """The stage of this test; without one (no fixture, no ``with stage()``), one for the rest of the process."""
    global _kept
    if _current is None:
        _kept = stage()
        _kept.__enter__()
    assert _current is not None
    return _current
