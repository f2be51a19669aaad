"""Async handlers: one that blocks delays nobody else, and the database is that of the turn.  A real server."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.viewers import Viewer, load_page
from tests.jobs.celery.cluster import wait_for
from tests.server import Server

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("async")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        database.execute("CREATE TABLE auth_group (id integer PRIMARY KEY AUTOINCREMENT, name varchar(150) UNIQUE)")
    env = {"DJANGO_SETTINGS_MODULE": "tests.runtime.async_settings", "ASYNC_FOLDER": str(folder)}
    env["ASYNC_SETTINGS"] = '{"HEARTBEAT": 0.2}'
    with Server("tests.benchmarks.asgi:application", log=folder / "server.log", env=env) as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture(autouse=True)
def release(folder: Path) -> Iterator[None]:
    """No handler blocks beyond its test."""
    for name in ("go", "blocks"):
        (folder / name).unlink(missing_ok=True)
    yield
    (folder / "go").touch()


@pytest.mark.parametrize("handler", ["click", "click_async"])
def test_while_an_async_handler_blocks_others_are_served(
    server: Server, pool: ThreadPoolExecutor, folder: Path, handler: str
) -> None:
    async def scenario() -> list[bool]:
        watching = await Viewer.open(server.port, "/Asking/")
        mine, other = [await asyncio.to_thread(load_page, server.port, "/Asking/") for _ in range(2)]
        blocked = pool.submit(mine.event, "block")
        await asyncio.to_thread(wait_for, (folder / "blocks").exists)
        is_answered = await asyncio.to_thread(other.event, handler) == 200
        await watching.until("last pushed.")
        is_alive = await watching.stream.event() is not None  # a heartbeat
        was_blocked = not blocked.done()
        (folder / "go").touch()
        await watching.close()
        return [is_answered, is_alive, was_blocked, blocked.result() == 200]

    assert asyncio.run(scenario()) == [True, True, True, True]


def test_a_handler_that_blocks_its_loop_is_named_in_the_log_once(server: Server) -> None:
    page = load_page(server.port, "/Asking/")
    for _ in range(2):
        assert page.event("doze") == 204  # it changes nothing
    assert page.event("click_async") == 200
    lines = [line for line in server.log.read_text().splitlines() if "blocked" in line]
    assert len(lines) == 1 and "tests.runtime.async_site.Asking.doze()" in lines[0], lines


def test_what_an_async_handler_writes_is_in_the_turns_transaction(server: Server, folder: Path) -> None:
    page = load_page(server.port, "/Asking/")
    assert page.event("add", name="kept") == 200
    assert page.event("add", name="rolled back", then="fail") == 422
    assert page.event("add", name="kept too") == 200
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        assert database.execute("SELECT name FROM auth_group ORDER BY id").fetchall() == [("kept",), ("kept too",)]


def test_an_async_handler_whose_client_has_gone_runs_to_its_end(server: Server, folder: Path) -> None:
    page = load_page(server.port, "/Asking/")
    with page.post("rest"):
        wait_for((folder / "blocks").exists)
    (folder / "go").touch()
    wait_for((folder / "rested").exists)
    assert page.event("click") == 200
    assert "Traceback" not in server.log.read_text()
