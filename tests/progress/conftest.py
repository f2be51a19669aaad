"""What the tests of progress share: a stage on a clock of the test, and a place to keep sessions on the same clock."""

from collections.abc import Iterator

import pytest

from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.store import override_progress_store
from htmx_live.testing.environment import LiveEnvironment, live_environment


@pytest.fixture
def staged() -> Iterator[LiveEnvironment]:
    reset_reporters()
    with live_environment() as built, override_progress_store(MemoryProgressStore(clock=built.clock)):
        yield built
