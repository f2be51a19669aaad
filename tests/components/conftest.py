"""A stage for components that show what goes on."""

from collections.abc import Iterator

import pytest

from htmx_live.progress.keeping import override_keeping
from htmx_live.progress.memory import MemoryKeeping
from htmx_live.testing.stage import Stage, stage


@pytest.fixture
def staged() -> Iterator[Stage]:
    with stage() as built, override_keeping(MemoryKeeping(clock=built.clock)):
        yield built
