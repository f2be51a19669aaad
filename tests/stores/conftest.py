"""The stores that the contract holds for; each is given with a clock that the test moves."""

from collections.abc import Callable
from typing import Any

import pytest

from htmx_live.stores.memory import MemoryStore
from htmx_live.testing import ManualClock

STORES: dict[str, Callable[[ManualClock], Any]] = {"memory": lambda clock: MemoryStore(clock=clock)}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    return STORES[request.param](clock)
