"""A cluster beside one process: a push from a worker to viewers on two web processes, and the way of a job to a worker.

CPU is that of all processes of Python together, Redis's left out.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from celery import Celery

from tests.benchmarks.test_fanout import Crowd
from tests.benchmarks.test_push import COUNTS, SHARED, TABLE, crowd, show
from tests.faults.cluster import Cluster, clusters
from tests.faults.followers import following
from tests.server import Server

pytestmark = pytest.mark.benchmark

PATIENCE = 60.0  # seconds until a job that does not begin fails the run
URLS = {"FAULTS_URLS": "tests.benchmarks.cluster_urls"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where viewers are, ``fire`` pushes a number to a view, and the processes whose CPU counts."""

    ports: tuple[int, ...]
    fire: Callable[[str, int], bytes]
    pids: tuple[int, ...]

    @property
    def cpu(self) -> float:
        """Seconds so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Figures:
    cpu: float  # milliseconds for one push
    last: float  # milliseconds until the last client had it, median


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    chosen = Cluster(tmp_path_factory.mktemp("cluster"), HEARTBEAT=600.0)
    for part in (*chosen.webs, chosen.worker):
        part.env = {**part.env, **URLS}
    with clusters(chosen) as [running]:
        yield running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process that keeps everything in memory."""
    folder = tmp_path_factory.mktemp("alone")
    env = {**Cluster(folder).env, **URLS, "FAULTS_LIVE": '{"HEARTBEAT": 600}'}
    with Server("tests.faults.asgi:application", log=folder / "server.log", env=env) as running:
        yield running


def places(alone: Server, shared: Cluster) -> tuple[Place, Place]:
    broker = Celery(broker=shared.env["FAULTS_BROKER"])

    def through_a_worker(view: str, number: int) -> bytes:
        broker.send_task("tests.faults.chores.push_number", (view, number), ignore_result=True)
        return f"[last {number}.]".encode()

    ports = tuple(web.port for web in shared.webs)
    pids = (*(web.pid for web in shared.webs), shared.worker.pid)
    here = Place(ports=(alone.port,), fire=lambda view, number: show(alone.port, view)(number), pids=(alone.pid,))
    return here, Place(ports=ports, fire=through_a_worker, pids=pids)


@contextmanager
def crowds(place: Place, path: str, count: int) -> Iterator[list[Crowd]]:
    with ExitStack() as stack:
        each = count // len(place.ports)
        yield [stack.enter_context(closing(crowd(port, path, each))) for port in place.ports]


def measure(place: Place, view: str, count: int, *, rounds: int) -> Figures:
    times: list[float] = []
    with crowds(place, f"/{view.rpartition('.')[2]}/", count) as opened:
        for number in range(rounds + 1):
            if number == 1:
                before = place.cpu
            began = time.perf_counter()
            ending = place.fire(view, number + 1)
            for each in opened:
                each.wait_for(ending)
            times.append((time.perf_counter() - began) * 1000)
        return Figures(cpu=(place.cpu - before) * 1000 / rounds, last=median(times[1:]))


@pytest.mark.parametrize(("view", "rounds"), [(SHARED, 50), (TABLE, 5)])
def test_a_push_from_a_worker(alone: Server, shared: Cluster, view: str, rounds: int) -> None:
    print(f"\na push to {view.rpartition('.')[2]} from a worker, viewers on two web processes; in one process; ratio")
    for count in COUNTS:
        one, many = (measure(place, view, count, rounds=rounds) for place in places(alone, shared))
        print(
            f"  {count:5} viewers: last client after {many.last:.0f} ms, {one.last:.0f} ms, "
            f"{many.last / one.last:.2f}x; CPU {many.cpu:.1f} ms, {one.cpu:.1f} ms, {many.cpu / one.cpu:.2f}x"
        )


def test_from_a_click_to_its_job(alone: Server, shared: Cluster) -> None:
    async def starts(port: int, folder: Path) -> float:
        """Milliseconds until a job has begun, median."""
        took = []
        async with following(port, ["/Desk/"], heartbeat=600) as [page]:
            for number in range(30):
                file = folder / f"job-{port}-{number}"
                Path(f"{file}.go").touch()
                began = time.time()
                assert (await page.send("start", file=str(file))).status == 200
                while not file.exists():
                    assert time.time() < began + PATIENCE
                    await asyncio.sleep(0.0005)
                took.append((file.stat().st_mtime - began) * 1000)
                await page.until('pending=""')
        return median(took[5:])

    here = asyncio.run(starts(alone.port, shared.folder))
    there = asyncio.run(starts(shared.webs[0].port, shared.folder))
    print(f"\nfrom a click to its job: {there:.1f} ms through Celery, {here:.1f} ms on a thread, {there / here:.2f}x")
