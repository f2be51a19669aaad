"""Processes of one project find each other while they live, however they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from htmx_live.backends import siblings
from tests.server import ROOT

pytestmark = pytest.mark.processes

Start = Callable[..., "subprocess.Popen[str]"]

PROCESS = """
import os, sys, django
django.setup()
from htmx_live.backends import siblings
say = lambda word: os.write(1, f"{word}\\n".encode())  # in one piece: two processes write to one pipe
siblings.register_process(*sys.argv[2:])
if sys.argv[1] == "fork" and not os.fork():
    say(os.getpid())
    os.kill(os.getpid(), 19)  # SIGSTOP: it outlives its parent
say("ready")
sys.stdin.read()
if sys.argv[1] == "withdraw":
    siblings.unregister_process()
    say("withdrawn")
    os.kill(os.getpid(), 19)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test alone."""
    monkeypatch.setattr(siblings, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start(*words: str, **env: str) -> "subprocess.Popen[str]":
        given = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "TMPDIR": str(folder), **env}
        command = [sys.executable, "-c", PROCESS, *words]
        process = subprocess.Popen(
            command, cwd=ROOT, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """Read lines up to ``word``; those before it."""
    assert process.stdout is not None
    lines = []
    while (line := process.stdout.readline().strip()) != word:
        assert line, "the process ended"
        lines.append(line)
    return lines


def files(folder: Path) -> list[Path]:
    return [file for inner in folder.iterdir() for file in inner.iterdir()]


def test_a_process_is_alive_for_its_epochs_until_it_is_killed(folder: Path, start: Start) -> None:
    process = start("stay", "aaaa", "bbbb")
    until(process, "ready")
    assert [siblings.is_alive(epoch) for epoch in ("aaaa", "bbbb", "cccc", "")] == [True, True, False, False]
    process.kill()
    process.wait()
    assert (siblings.is_alive("aaaa"), files(folder)) == (False, [])


def test_a_process_that_ends_leaves_no_file(folder: Path, start: Start) -> None:
    process = start("stay", "aaaa")
    until(process, "ready")
    process.communicate("")
    assert (process.returncode, files(folder)) == (0, [])


def test_a_process_that_is_about_to_end_hands_its_pages_over(start: Start) -> None:
    process = start("withdraw", "aaaa")
    until(process, "ready")
    assert process.stdin is not None
    process.stdin.close()
    until(process, "withdrawn")
    assert (process.poll(), siblings.is_alive("aaaa")) == (None, False)
    process.stdin = None


def test_a_fork_that_outlives_its_parent_does_not_pass_for_it(start: Start) -> None:
    process = start("fork", "aaaa")
    assert process.stdout is not None
    lines = {process.stdout.readline().strip() for _ in range(2)}
    child = int(next(iter(lines - {"ready"})))
    process.kill()
    process.wait()
    try:
        assert not siblings.is_alive("aaaa")
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_workers_of_a_server_are_counted_by_their_parent(start: Start) -> None:
    until(start("stay", "aaaa"), "ready")
    assert siblings.is_alive("aaaa")
    assert siblings.count_siblings() == 0  # it is our child, and no worker beside us
    setup = "import django; django.setup(); from htmx_live.backends import siblings"
    counting = f"{setup}; siblings.register_process('bbbb'); {COUNT}"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "TMPDIR": siblings.gettempdir()}
    found = subprocess.run([sys.executable, "-c", counting], cwd=ROOT, env=env, capture_output=True, text=True)
    assert found.stdout.split() == ["1"]


COUNT = "print(siblings.count_siblings())"


def test_another_project_is_no_sibling_but_its_stale_files_are_removed(
    folder: Path, start: Start, settings: Any
) -> None:
    process = start("stay", "aaaa")
    until(process, "ready")
    settings.SECRET_KEY = "another"
    assert (siblings.is_alive("aaaa"), len(files(folder))) == (False, 1)
    process.kill()
    process.wait()
    assert (siblings.is_alive("aaaa"), files(folder)) == (False, [])


def test_a_folder_that_others_can_write_to_is_not_trusted(folder: Path, start: Start) -> None:
    shared = folder / f"htmx_live-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    until(start("stay", "aaaa"), "ready")
    assert (siblings.is_alive("aaaa"), files(folder)) == (False, [])


def test_without_a_temporary_folder_a_process_works_and_has_no_siblings(folder: Path, start: Start) -> None:
    (folder / f"htmx_live-{os.getuid()}").write_text("no folder")
    until(start("stay", "aaaa"), "ready")
    assert not siblings.is_alive("aaaa")
