"""A stage for components that show what goes on."""

from collections.abc import Iterator

import pytest

from htmx_live.progress.memory_store import MemoryKeeping
from htmx_live.progress.store import override_keeping
from htmx_live.testing.environment import Stage, stage


@pytest.fixture
def staged() -> Iterator[Stage]:
    with stage() as built, override_keeping(MemoryKeeping(clock=built.clock)):
        yield built
