"""Records of processes that end: as scripts do, and by SIGKILL in the middle of their work."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

pytestmark = pytest.mark.processes

PREPARE = "import django; django.setup(); from htmx_live.progress import ProgressSession\n"
SCRIPT = """
session = ProgressSession.create({"a": "Import"}, key="import")
with session.task("a") as task:
    task.update(current=1, total=4)
    task.complete("Read", result="/made/")
"""
WORKING = """
import time
from htmx_live.contrib.task_history.models import TaskRecord
session = ProgressSession.create({"a": "Import"}, key="import")
session.update("a", current=1, total=4)
while not TaskRecord.objects.exists():
    time.sleep(0.01)
print("written", flush=True)
time.sleep(600)
"""
SETTLE = """
from datetime import UTC, datetime, timedelta
from htmx_live.contrib.task_history.recorder import reconcile
print(reconcile(), reconcile(now=datetime.now(UTC) + timedelta(seconds=31)))
"""
HELD = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # somebody's long import
session = ProgressSession.create({"a": "Import"})
session.complete("a")
from htmx_live.contrib.task_history import recorder as writing
writing.flush_due()
print(len(writing.tracked_sessions()), flush=True)
other.execute("COMMIT")
"""


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return shutil.copy(empty_database, tmp_path / "tasks.sqlite3")


def env(database: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.contrib.task_history.settings",
        "TASKS_DATABASE": str(database),
    }


def run(database: Path, script: str) -> str:
    command = [sys.executable, "-c", PREPARE + script, str(database)]
    done = subprocess.run(command, check=True, env=env(database), cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def rows(database: Path) -> list[tuple[str, int, str, str]]:
    with sqlite3.connect(database) as connection:
        query = "SELECT status, percent, message, result_url FROM htmx_live_tasks_taskrecord"
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_script_that_ends_at_once_has_written_its_end(database: Path) -> None:
    run(database, SCRIPT)
    assert rows(database) == [("complete", 100, "Read", "/made/")]


def test_the_task_of_a_process_that_was_killed_is_found_to_be_lost(database: Path) -> None:
    command = [sys.executable, "-c", PREPARE + WORKING]
    with subprocess.Popen(command, env=env(database), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    assert rows(database) == [("running", 25, "", "")]
    assert run(database, SETTLE) == "0 1"
    assert rows(database) == [("lost", 25, "", "")]
    run(database, SCRIPT)
    assert sorted(status for status, *_ in rows(database)) == ["complete", "lost"]


def test_an_end_waits_for_whoever_holds_the_database(database: Path) -> None:
    assert run(database, HELD) == "1"
    assert rows(database) == [("complete", 100, "", "")]
