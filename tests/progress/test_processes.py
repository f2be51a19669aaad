"""Sessions in several processes on one Redis: nothing is lost, nothing goes back, and who is killed is missed."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from htmx_live.backends.redis.store import RedisStore
from htmx_live.progress import ProgressSession
from htmx_live.progress.reporter import reset_reporters
from htmx_live.progress.worker import check_session
from htmx_live.runtime.services import override_services, services
from tests.redis_server import RedisServer

Start = Callable[..., "subprocess.Popen[str]"]
PATIENCE = 30.0


@pytest.fixture
def start(redis_server: RedisServer, settings: Any) -> Iterator[Start]:
    """Starts a process that works on a session; what is left of them in the end is killed."""
    settings.HTMX_LIVE = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": "processes:"}
    reset_reporters()
    begun: list[subprocess.Popen[str]] = []

    def begin(session: ProgressSession, word: str, task: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.progress.working", redis_server.url, session.session_id, word, task]
        root = Path(__file__).parents[2]
        begun.append(subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    with override_services(store=RedisStore()):
        yield begin
    for process in begun:
        process.kill()
        process.communicate()
    reset_reporters()


def heard(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def told(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def waited_for(what: Callable[[], Any]) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)
    return time.monotonic() - began


def test_a_reader_sees_what_another_process_does(start: Start) -> None:
    session = ProgressSession.create({"a": "A", "b": "B"})
    worker = start(session, "hold", "a")
    heard(worker, "ready")
    assert session.to_dict()["tasks"]["a"]["percent"] == 30
    told(worker)
    heard(worker, "done")
    heard(start(session, "complete", "b"), "done")  # which never started it
    lines = list(session.stream())
    assert json.loads(lines[-1])["status"] == "complete"


def test_two_processes_on_one_task_lose_nothing_and_no_snapshot_goes_back(start: Start) -> None:
    session = ProgressSession.create({"a": "A", "b": "B"})
    session.update("a", total=1000)
    workers = [start(session, "count", "a"), start(session, "count", "a"), start(session, "count", "b")]
    for worker in workers:
        heard(worker, "ready")
    for worker in workers:
        told(worker)
    seen = []
    while any(worker.poll() is None for worker in workers):
        snapshot = session.to_dict()
        seen.append((snapshot["number"], snapshot["overall_percent"]))
    assert [task["current"] for task in session.to_dict()["tasks"].values()] == [1000, 500]
    assert seen == sorted(seen) and len(seen) > 3


@pytest.mark.faults
def test_a_process_that_is_killed_is_missed_within_15_seconds(start: Start) -> None:
    session = ProgressSession.create({"a": "A"})
    worker = start(session, "hold", "a")
    heard(worker, "ready")
    worker.kill()
    states: list[str] = []

    def is_lost() -> bool:
        states.append(session.to_dict()["tasks"]["a"]["status"])
        return states[-1] == "lost"

    assert waited_for(is_lost) < 15
    assert list(dict.fromkeys(states)) == ["running", "stalled", "lost"]
    # The watch of any process makes it last, and tells the pages.
    [(_, note)] = [found for found in services().store.pop_due() if session.session_id in found[1]]
    check_session(json.loads(note))
    assert session.load_snapshot().states["a"].status == "lost"


@pytest.mark.faults
def test_what_lives_is_not_missed(start: Start) -> None:
    session = ProgressSession.create({"a": "A"})
    worker = start(session, "hold", "a")
    heard(worker, "ready")
    before = session.load_snapshot().states["a"].beat
    waited_for(lambda: session.load_snapshot().states["a"].beat > before + 3)  # two beats
    assert session.to_dict()["tasks"]["a"]["status"] == "running"
