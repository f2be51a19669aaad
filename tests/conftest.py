"""What every test shares: when benchmarks and browser tests run, and how long hypothesis may think."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer

settings.register_profile("plain", deadline=None)  # a busy machine must not fail a test
settings.load_profile("plain")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out, unless `-m benchmark` asks for them, and run browser tests last.

    Playwright leaves an event loop in the main thread, in which Django refuses the database and async_to_sync.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if config.option.markexpr == "benchmark":
        return
    left_out = [item for item in items if item.get_closest_marker("benchmark")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the whole run.  A test that stops, freezes or empties it starts one of its own instead."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
