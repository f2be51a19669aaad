"""What every test shares: when benchmarks and browser tests run, and how long hypothesis may think."""

import pytest
from hypothesis import settings

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
