"""Pushes: what one costs with many viewers, beside a bare server that writes the same bytes to as many sockets.

The view is a table of 20 by 5 cells, all of which change.  CPU is that of the server's process; the request that asks
for a push is measured with a view that nobody has open, and taken off.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.benchmarks.test_fanout import Crowd, bare_server, census, fire_bare
from tests.faults.viewers import LoadedPage, ask, load_page, push
from tests.server import Server

pytestmark = pytest.mark.benchmark

COUNTS = (100, 500, 1000)
TABLE, SHARED, NOBODYS = (f"tests.messaging.push_site.{name}" for name in ("Table", "SharedTable", "SharedLog"))


@dataclass(frozen=True, kw_only=True)
class Figures:
    cpu: float  # milliseconds of the server for one push
    last: float  # milliseconds until the last client had it, median
    size: int  # bytes to one client for one push


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    log: Path = tmp_path_factory.mktemp("push") / "server.log"
    env = {"DJANGO_SETTINGS_MODULE": "tests.messaging.push_settings", "PUSH_SETTINGS": '{"HEARTBEAT": 600}'}
    with Server("tests.benchmarks.asgi:application", log=log, env=env) as running:
        yield running.port


def crowd(port: int, path: str, count: int) -> Crowd:
    """So many pages, each of a visitor of its own, with their streams open."""

    def request(number: int) -> str:
        headers = load_page(port, path).stream_headers.items()
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers]
        return "\r\n".join(["GET /live/stream/ HTTP/1.1", "host: x", "accept: text/event-stream", *lines, "", ""])

    return Crowd(port, count, request)


def show(port: int, view: str) -> Callable[[int], bytes]:
    def fire(number: int) -> bytes:
        push(port, {"view": view, "state": {"last": number}})
        return f"[last {number}.]".encode()

    return fire


def measure(port: int, opened: Crowd, fire: Callable[[int], bytes], *, rounds: int) -> Figures:
    count, times, total = len(opened.sockets), [], 0
    opened.wait_for(fire(1))
    before = census(port)["cpu"]
    for number in range(2, rounds + 2):
        began = time.perf_counter()
        _, size = opened.wait_for(fire(number))
        times.append((time.perf_counter() - began) * 1000)
        total += size
    cpu = (census(port)["cpu"] - before) * 1000 / rounds
    return Figures(cpu=cpu, last=median(times), size=total // rounds // count)


def cost_of_asking(port: int) -> float:
    """Milliseconds of CPU for a push that nobody sees."""
    before = census(port)["cpu"]
    for number in range(200):
        push(port, {"view": NOBODYS, "state": {"last": number}})
    return (census(port)["cpu"] - before) * 1000 / 200


def rounds_for(count: int) -> int:
    """Enough for the clock of the process, which counts in steps of 10 ms."""
    return max(20, 10_000 // count)


def bare(count: int, size: int) -> Figures:
    with bare_server(size) as port, closing(Crowd(port, count, lambda number: "GET / HTTP/1.1\r\n\r\n")) as opened:
        return measure(port, opened, fire_bare(port), rounds=rounds_for(count))


def test_a_push_to_a_shared_view(port: int) -> None:
    asking, render = cost_of_asking(port), ask(port, "/render/2000/")["cpu"] / 1000
    print(f"\na push to a shared view (asking {asking:.2f} ms, one plain render {render:.2f} ms)")
    ours: dict[int, Figures] = {}
    for count in COUNTS:
        with closing(crowd(port, "/SharedTable/", count)) as opened:
            ours[count] = one = measure(port, opened, show(port, SHARED), rounds=rounds_for(count))
        least = bare(count, one.size)
        ratio = (one.cpu - asking) / least.cpu
        print(
            f"  {count:5} viewers: {one.cpu - asking:6.2f} ms CPU, {ratio:.2f}x bare (goal 3.0x at 1000), last client "
            f"after {one.last:.0f} ms, bare {least.last:.0f} ms; {one.size} bytes each"
        )
    print(f"  {growth({count: figures.cpu - asking for count, figures in ours.items()})}")


def test_a_push_to_a_view_of_client_scope(port: int) -> None:
    asking, render = cost_of_asking(port), ask(port, "/render/2000/")["cpu"]
    print(f"\na push to a view of client scope (one plain render {render:.0f} µs)")
    ours: dict[int, Figures] = {}
    for count in COUNTS:
        with closing(crowd(port, "/Table/", count)) as opened:
            ours[count] = one = measure(port, opened, show(port, TABLE), rounds=20)
        each = (one.cpu - asking) * 1000 / count
        print(
            f"  {count:5} viewers: {each:6.0f} µs CPU each, a render and {each - render:.0f} µs (goal 150 µs); last "
            f"client after {one.last:.0f} ms"
        )
    print(f"  {growth({count: figures.cpu - asking for count, figures in ours.items()})}")


def growth(cpu: dict[int, float]) -> str:
    """How far the middle is from the straight line through the ends."""
    low, middle, high = sorted(cpu)
    line = cpu[low] + (cpu[high] - cpu[low]) * (middle - low) / (high - low)
    return f"growth: at {middle} {cpu[middle] / line:.2f}x the straight line from {low} to {high}"


def test_a_tick_of_a_shared_view(port: int) -> None:
    count, rounds = 200, 20
    asking = cost_of_asking(port)
    with closing(crowd(port, "/SharedTable/", count)) as opened:
        pushed = measure(port, opened, show(port, SHARED), rounds=rounds).cpu - asking
    with closing(crowd(port, "/TickingTable/", count)) as opened:
        first = ask(port)["ticks_of_table"]
        opened.wait_for(f"[last {first + 2}.]".encode())
        before = census(port)["cpu"]
        opened.wait_for(f"[last {first + 2 + rounds}.]".encode())
        ticked = (census(port)["cpu"] - before) * 1000 / rounds
    print(f"\na tick with {count} viewers: {ticked:.2f} ms CPU a round, {ticked / pushed:.2f}x one push (goal 1x)")


def test_another_users_clicks_during_a_push_to_two_hundred_states(port: int) -> None:
    clicker = load_page(port, "/Clicks/")
    with closing(crowd(port, "/Table/", 200)) as opened:
        quiet = [timed(clicker) for _ in range(200)]
        beside: list[float] = []
        for number in range(1, 21):
            reading = threading.Thread(target=lambda ending: opened.wait_for(ending), args=[b"[last %d.]" % number])
            reading.start()
            show(port, TABLE)(number)
            while reading.is_alive():
                beside.append(timed(clicker))
    ratio = quantiles(beside, n=20)[-1] / quantiles(quiet, n=20)[-1]
    print(
        f"\na click during a push to 200 states: p95 {quantiles(beside, n=20)[-1] * 1000:.1f} ms of {len(beside)}, "
        f"{ratio:.1f}x its quiet {quantiles(quiet, n=20)[-1] * 1000:.1f} ms (goal 5x)"
    )


def timed(clicker: LoadedPage) -> float:
    began = time.perf_counter()
    assert clicker.event("click") == 200
    return time.perf_counter() - began
