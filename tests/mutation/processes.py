"""The collected tests, run by forked processes: each has a database of its own and ends at the first failure."""

import json
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import coverage
import pytest
from _pytest.runner import runtestprotocol
from django.db import connections

PROCESSES = 2
HANG = 15  # seconds, beyond ten times what the test took, after which it hangs
PASSED, FAILED, BROKEN, HUNG = 0, 1, 2, -signal.SIGALRM


class Result(NamedTuple):
    status: int
    text: str  # the test that ran last, or why the process broke


class _End(pytest.Item):
    """Comes after the last test: what the session shares stays until then."""

    def runtest(self) -> None:
        raise NotImplementedError


class Tests:
    """After ``measure``: ``seconds`` of each test, and the tests that reach each line of each file."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, dict[str, list[str]]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="mutation-"))
        self.failed: str | None = None
        self.ends_at_failure = False
        self.end = _End.from_parent(session, name="end")

    def prepare(self) -> None:
        """Make what the whole session shares, the database, before the first fork."""
        item = next((item for item in self.items.values() if item.get_closest_marker("django_db")), None)
        if item is not None:
            runtestprotocol(item, log=False, nextitem=self.end)
        connections.close_all()

    def measure(self, files: list[str]) -> list[str]:
        """Run all tests once in a forked process.  Return those that fail there: they are left out from then on."""
        found = self.folder / "measured"
        for _, result in self.each([found], lambda found, report: self._measure(files, found)):
            if result.status != PASSED:
                raise RuntimeError(result.text)
        self.seconds, self.reached, failed = json.loads(found.read_text())
        for name in set(failed):
            del self.seconds[name]
        return list(failed)

    def _measure(self, files: list[str], found: Path) -> None:
        recorder = coverage.Coverage(data_file=None, include=files, config_file=False, messages=False)
        recorder.start()
        seconds, failed = {}, []
        for item, following in pairwise([*self.items.values(), self.end]):
            recorder.switch_context(item.nodeid)
            self.failed, start = None, time.perf_counter()
            self._run(item, following)
            seconds[item.nodeid] = time.perf_counter() - start
            failed += [self.failed] if self.failed else []
        recorder.stop()
        reached = {file: recorder.get_data().contexts_by_lineno(file) for file in files}
        found.write_text(json.dumps((seconds, reached, failed)))

    def reaching(self, file: str, lines: Iterable[int]) -> set[str]:
        by_line = self.reached.get(file, {})
        return {name for line in lines for name in by_line.get(str(line), ()) if name in self.seconds}

    def run(self, names: list[str], report: Path) -> None:
        """Run these tests until one fails.  A test that hangs ends this process."""
        self.ends_at_failure = True
        items = [self.items[name] for name in names]
        for item, following in pairwise([*items, self.end]):
            report.write_text(item.nodeid)
            signal.setitimer(signal.ITIMER_REAL, HANG + 10 * self.seconds[item.nodeid])
            self._run(item, following)

    def heard(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid
            if self.ends_at_failure:
                os._exit(FAILED)

    def each(self, jobs: Iterable[Any], work: Callable[[Any, Path], None]) -> Iterator[tuple[Any, Result]]:
        """Call ``work`` with each job in a forked process, two at a time."""
        running: dict[int, tuple[Any, int]] = {}
        free = list(range(PROCESSES))
        for job in jobs:
            if not free:
                yield self._ended(running, free)
            slot = free.pop()
            report = self.folder / f"report-{slot}"
            report.write_text("")
            if (process := os.fork()) == 0:
                self._child(lambda job=job, report=report: work(job, report), report, slot)
            running[process] = job, slot
        while running:
            yield self._ended(running, free)

    def _ended(self, running: dict[int, tuple[Any, int]], free: list[int]) -> tuple[Any, Result]:
        process, status = os.wait()
        job, slot = running.pop(process)
        free.append(slot)
        text = (self.folder / f"report-{slot}").read_text()
        return job, Result(os.waitstatus_to_exitcode(status), text)

    def _child(self, work: Callable[[], None], report: Path, slot: int) -> NoReturn:
        status = BROKEN
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            self._use_own_databases(slot)
            self._hide_siblings(slot)
            work()
            status = PASSED
        except BaseException:
            report.write_text(traceback.format_exc())
        finally:
            os._exit(status)

    def _use_own_databases(self, slot: int) -> None:
        for alias in connections:
            used = connections.settings[alias]
            if Path(used["NAME"]).exists():
                copy = self.folder / f"{alias}-{slot}.sqlite3"
                shutil.copy(used["NAME"], copy)
                used["NAME"] = connections[alias].settings_dict["NAME"] = copy

    def _hide_siblings(self, slot: int) -> None:
        """The process of the other slot is no other process of this one's site."""
        from htmx_live.backends import siblings  # pytest wants to import it first

        folder = self.folder / f"siblings-{slot}"
        folder.mkdir(exist_ok=True)
        pytest.MonkeyPatch().setattr(siblings, "gettempdir", lambda: str(folder))

    def _run(self, item: pytest.Item, following: pytest.Item) -> None:
        """Run ``item`` after any other test, and set up again what ``following`` shares with it."""
        self.session._setupstate.teardown_exact(item)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
