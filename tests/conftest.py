"""What every test shares: a Redis, a Chromium, tiers, the order of tests, and how long hypothesis may think."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.redis_server import RedisServer

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--js-flags=--no-opt",  # pages that live for a second are not worth optimizing
]  # fmt: skip
SLOW_TIERS = ("processes", "browser", "faults", "benchmark")

# The tests and the servers that they start write bytecode, so each module is compiled once. Some shells forbid it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts background jobs with SIGINT ignored, and the servers that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Tier:
    """Fail a test that starts a process without a mark for it: ``make check`` must start none."""

    test: pytest.Item | None = None

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn") and self.test is not None:
            name, self.test = self.test.nodeid, None
            raise AssertionError(f"{name} starts a process, {args[0] if args else event}: mark it processes.")


tier = Tier()
sys.addaudithook(tier.audit)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Import hypothesis, which takes long, only for modules that use it."""
    if "hypothesis" in module_path.read_text():
        from hypothesis import settings

        settings.register_profile("plain", deadline=None)  # a busy machine must not fail a test
        settings.load_profile("plain")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    tier.test = None if any(map(item.get_closest_marker, SLOW_TIERS)) else item
    try:
        return (yield)
    finally:
        tier.test = None


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out, unless `-m benchmark` asks for them, and run browser tests last.

    Playwright leaves an event loop in the main thread, in which Django refuses the database and async_to_sync.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    for item in items:
        if "redis_server" in getattr(item, "fixturenames", ()):
            item.add_marker("processes")
    if config.option.markexpr == "benchmark":
        return
    left_out = [item for item in items if item.get_closest_marker("benchmark")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def no_siblings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the processes that run tests beside this one: they are no other processes of its site."""
    from htmx_live.backends import siblings

    folder = str(tmp_path_factory.mktemp("siblings"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(siblings, "gettempdir", lambda: folder)
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RedisServer]":
    """One Redis for the whole run.  A test that stops, freezes or empties it starts one of its own instead."""
    from tests.redis_server import RedisServer

    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Path:
    """A database with all tables, for servers to start with a copy of it."""
    from django.core.management import call_command
    from django.db import connections

    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    connections.databases["empty"] = {**connections.databases["default"], "NAME": path}

    def migrate() -> None:
        call_command("migrate", database="empty", verbosity=0)
        connections["empty"].close()

    # A browser leaves an event loop in this thread, in which Django refuses the database.
    with django_db_blocker.unblock(), ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(migrate).result()
    del connections.databases["empty"]
    return path


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One Chromium for the whole run: the one without windows, which opens a page at a quarter of the cost."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
