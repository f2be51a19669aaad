"""What the tests of durable tasks share: a stage whose progress is followed, and a server with its own database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from htmx_live.contrib.task_history import recorder as writing
from htmx_live.progress import publisher as followers
from htmx_live.progress.memory_store import MemoryProgressStore
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.store import override_progress_store
from htmx_live.testing.environment import LiveEnvironment, live_environment
from tests.server import ROOT, Server


@pytest.fixture
def staged() -> Iterator[LiveEnvironment]:
    reset_reporters()
    writing.reset_recorder()
    followers.connect_progress_changed(writing.mark_dirty)
    with live_environment() as built, override_progress_store(MemoryProgressStore(clock=built.clock)):
        yield built
    followers._change_receivers.remove(writing.mark_dirty)
    writing.reset_recorder()


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create_user("ann", password="secret")


SETUP = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
users = get_user_model().objects
users.create_superuser("ann", password="secret")
users.create_superuser("bob", password="secret")
cat = users.create_user("cat", password="secret", is_staff=True)
cat.user_permissions.add(*Permission.objects.filter(codename="view_group"))
Group.objects.bulk_create(Group(name=f"Group {number}") for number in range(1, 8))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    with tasks_server(tmp_path_factory.mktemp("tasks"), empty_database) as running:
        yield running


def tasks_server(folder: Path, database: Path) -> Server:
    """The site of tests/contrib/task_history with users and groups; not started yet."""
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.contrib.task_history.settings",
        "TASKS_DATABASE": str(folder / "tasks.sqlite3"),
    }
    shutil.copy(database, env["TASKS_DATABASE"])
    command = [sys.executable, "-c", "import django; django.setup()\n" + SETUP]
    subprocess.run(command, check=True, env={**os.environ, **env}, cwd=ROOT)
    return Server("tests.browser.regions_asgi:application", log=folder / "log", env=env)
