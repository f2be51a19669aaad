"""What every test shares: a Redis, a Chromium, the order of tests, and how long hypothesis may think."""

import shutil
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from tests.redis_server import RedisServer

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

settings.register_profile("plain", deadline=None)  # a busy machine must not fail a test
settings.load_profile("plain")

# A shell starts background jobs with SIGINT ignored, and the servers that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
