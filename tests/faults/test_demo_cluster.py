"""The demo on many processes, in Chromium: what its visitors see while its processes are killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_demo_reports import (
    test_a_failed_job_shows_an_id_and_a_user_error_its_words,
    test_rows_appear_while_a_report_is_generated_and_loading_ends_with_it,
    test_text_is_streamed_line_by_line_and_survives_a_reload,
    visitors,
)
from tests.browser.visitors import Visitors, visiting
from tests.server import ROOT, free_port

__all__ = [
    "test_a_failed_job_shows_an_id_and_a_user_error_its_words",
    "test_rows_appear_while_a_report_is_generated_and_loading_ends_with_it",
    "test_text_is_streamed_line_by_line_and_survives_a_reload",
    "visitors",
]

pytestmark = [pytest.mark.faults, pytest.mark.browser]

PATIENCE = 40.0  # seconds until what does not come fails a test


class DemoCluster:
    """``demo/cluster.py`` on a port of its own, and on ``database`` or one in ``folder`` with the sample data."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.port, self.log = free_port(), folder / "cluster.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**os.environ, "DEMO_DATABASE": database or str(folder / "demo.sqlite3"), "DEMO_PACE": "0.3"}
        self.env |= {"PORT": str(self.port), "DJANGO_SETTINGS_MODULE": "demo.settings"}
        for command in () if database else ("migrate", "sampledata"):
            self.manage(command, "--verbosity", "0")

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "demo/cluster.py"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
        wait_for(self.answers)
        self.env["DEMO_REDIS"] = re.findall(r"DEMO_REDIS=(\S+)", self.log.read_text())[0]

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError):
            urllib.request.urlopen(self.url, timeout=5).close()
            return True
        return False

    def manage(self, *words: str) -> str:
        command = [sys.executable, "demo/manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def new_order(self) -> str:
        """Somebody orders something in another process; the order's number."""
        return self.manage("new_order").strip().rpartition(" ")[2].rstrip(".")

    def workers(self) -> list[int]:
        return [pid for pid in children(self.process.pid) if "celery" in words_of(pid)]

    def webs(self) -> list[int]:
        server = next(pid for pid in children(self.process.pid) if "uvicorn" in words_of(pid))
        return [pid for pid in children(server) if "spawn_main" in words_of(pid)]

    def everything(self) -> set[int]:
        found, new = set[int](), {self.process.pid}
        while new:
            found |= new
            new = {child for pid in new for child in children(pid)} - found
        return found


@contextmanager
def running(folder: Path, database: str = "") -> Iterator[DemoCluster]:
    cluster = DemoCluster(folder, database)
    cluster.start()
    try:
        yield cluster
    finally:
        left = cluster.everything() if cluster.process.poll() is None else set()
        cluster.process.terminate()
        try:
            cluster.process.wait(PATIENCE)
        finally:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, listing.read_text().split())
    return found


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # it has just ended
        return ""


def wait_for(what: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """The first answer of ``what()`` that is true."""
    give_up = time.monotonic() + within
    while not (answer := what()):
        assert time.monotonic() < give_up, f"It did not come within {within:g} s."
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def quick(cluster: DemoCluster) -> DemoCluster:
    """In the place of the single server that the tests of the reports have."""
    return cluster


@pytest.fixture
def people(browser: Browser) -> Iterator[Visitors]:
    with visiting(browser) as people:
        yield people


def newest(page: Page) -> Any:
    return page.locator("tbody tr").first


def test_an_order_of_another_process_is_pushed_to_every_page(cluster: DemoCluster, people: Visitors) -> None:
    pages = [people.at(cluster, path, name=name) for path, name in PLACES]
    number = cluster.new_order()
    for page in pages:
        expect(newest(page)).to_contain_text(number)


PLACES = [("/dashboard/", "anna"), ("/dashboard/", "ben"), ("/orders/", "anna")]  # the list has no tick to wait for


def test_a_report_whose_worker_is_killed_ends_in_words_and_can_be_had_again(
    cluster: DemoCluster, people: Visitors
) -> None:
    page = people.at(cluster, "/reports/")
    report = page.locator("#salesreport .card")
    report.get_by_label("Year").select_option("2025")
    generate = report.locator("button.primary")
    generate.click()
    expect(report.locator("tbody tr").first).to_be_visible()
    for session in cluster.workers():
        os.killpg(session, signal.SIGKILL)
    expect(page.locator(".live-toasts")).to_contain_text("The work was interrupted", timeout=15_000)
    expect(generate).to_be_enabled()
    expect(report.get_by_text("Generating…")).to_be_hidden()
    generate.click()
    expect(report.locator("tfoot th")).to_have_text("2025")  # by a worker that has begun meanwhile


def test_pages_go_on_when_one_of_two_web_processes_is_killed(cluster: DemoCluster, people: Visitors) -> None:
    pages = [people.at(cluster, "/orders/", name=name, offline_is_fine=True) for name in ("anna", "ben", "anna")]
    killed, other = cluster.webs()
    os.kill(killed, signal.SIGKILL)
    number = cluster.new_order()
    for page in pages:
        expect(newest(page)).to_contain_text(number)
        expect(page.locator(".live-banner")).to_be_hidden()
    wait_for(lambda: len({*cluster.webs()} - {killed}) == 2)
    assert other in cluster.webs()


def test_sigterm_ends_every_process(cluster: DemoCluster, tmp_path: Path) -> None:
    with running(tmp_path, cluster.env["DEMO_DATABASE"]) as ending:
        wait_for(lambda: all(children(worker) for worker in ending.workers()))
        everything = ending.everything()
        ending.process.terminate()
        assert ending.process.wait(PATIENCE) == 0
    assert [words_of(pid) for pid in everything if words_of(pid)] == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", ending.port)) != 0
