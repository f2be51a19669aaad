"""Layouts on PostgreSQL: the connections of panel threads, as the database itself counts them.

A server of its own is started for these tests, in a temporary folder, on a socket in it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.layouts.test_server import fetch
from tests.server import Server

pytestmark = pytest.mark.processes

PATIENCE = 20.0  # seconds
SITE = "application_name = 'layouts'"
DEBIAN = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)  # which are not on the PATH

Serving = Callable[..., Server]


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *DEBIAN]))


@dataclass(frozen=True, slots=True)
class Database:
    """A running PostgreSQL whose socket is in ``folder``."""

    folder: str

    def ask(self, query: str) -> Any:
        """The first column of the first row."""
        with psycopg.connect(host=self.folder, user="tests", dbname="postgres", autocommit=True) as connection:
            return connection.execute(query).fetchone()[0]

    def connections(self) -> int:
        """How many connections the site has open."""
        return int(self.ask("SELECT count(*) FROM pg_stat_activity WHERE " + SITE))

    def until(self, count: int) -> bool:
        """Whether ``count`` connections are left: a server notices a moment later that a client has gone."""
        give_up = time.monotonic() + PATIENCE
        while self.connections() != count and time.monotonic() < give_up:
            continue
        return self.connections() == count


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    missing = [name for name in ("initdb", "postgres") if program(name) is None]
    if missing:
        pytest.fail(f"Install PostgreSQL (on Debian or Ubuntu: postgresql): {' and '.join(missing)} cannot be found.")
    with tempfile.TemporaryDirectory() as folder:
        # It refuses to run as root; nobody will do.
        user = {"user": "nobody"} if os.getuid() == 0 else {}
        if user:
            shutil.chown(folder, **user)
        options = ["--username=tests", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [program("initdb"), "--pgdata", f"{folder}/data", *options]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)
        with subprocess.Popen(
            [program("postgres"), "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user,
        ) as process:  # fmt: skip
            yield _answering(Database(folder), process)
            process.terminate()


def _answering(database: Database, process: "subprocess.Popen[bytes]") -> Database:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            assert database.ask("SELECT 1") == 1
            return database
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise


@pytest.fixture
def serve(database: Database, tmp_path: Path) -> Iterator[Serving]:
    """Call it for the site on a uvicorn, with CONN_MAX_AGE and PANEL_THREADS."""
    running: list[Server] = []

    def start(*, age: int, threads: int = 16) -> Server:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.layouts.postgresql_settings",
            "LAYOUTS_DATABASE": "",
            "POSTGRESQL_FOLDER": database.folder,
            "CONNECTION_AGE": str(age),
            "PANEL_THREADS": str(threads),
        }
        running.append(Server("tests.layouts.asgi:application", log=tmp_path / "server.log", env=env).start())
        return running[0]

    yield start
    for server in running:
        server.stop()
    assert database.until(0)


def test_connections_of_panel_threads_are_closed_with_their_panels(database: Database, serve: Serving) -> None:
    server = serve(age=0)
    assert "<section" not in fetch(server, "/site/database/")  # three panels met, each on a connection
    assert fetch(server, "/site/connections/") == "3 0"
    assert database.until(0)


def test_connections_that_may_stay_are_one_for_each_thread(database: Database, serve: Serving) -> None:
    server = serve(age=600)
    for _ in range(8):
        fetch(server, "/site/database/")
    used = int(fetch(server, "/site/connections/").split()[0])
    assert 3 <= used <= 16  # threads, for 24 panels
    assert database.connections() == used


def test_a_connection_that_broke_is_replaced(database: Database, serve: Serving) -> None:
    server = serve(age=600, threads=1)
    assert "The database: answered" in fetch(server, "/asking/")
    assert database.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE " + SITE) == 1
    assert "The database: OperationalError" in fetch(server, "/asking/")
    assert "The database: answered" in fetch(server, "/asking/")
    assert database.connections() == 1
