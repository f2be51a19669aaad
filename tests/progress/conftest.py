"""What the tests of progress share: a stage on a clock of the test, and a place to keep sessions on the same clock."""

from collections.abc import Iterator

import pytest

from htmx_live.progress.memory_store import MemoryKeeping
from htmx_live.progress.reporter import forget_all
from htmx_live.progress.store import override_keeping
from htmx_live.testing.environment import Stage, stage


@pytest.fixture
def staged() -> Iterator[Stage]:
    forget_all()
    with stage() as built, override_keeping(MemoryKeeping(clock=built.clock)):
        yield built
