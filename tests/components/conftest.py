"""A stage for components that show what goes on."""

from collections.abc import Iterator

import pytest

from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.store import override_progress_store
from htmx_live.testing.environment import LiveEnvironment, live_environment


@pytest.fixture
def staged() -> Iterator[LiveEnvironment]:
    with live_environment() as built, override_progress_store(MemoryProgressStore(clock=built.clock)):
        yield built
