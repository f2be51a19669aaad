"""Fan-out: what one event to many streams costs, beside bare servers and django-eventstream's own view.

CPU is that of the server's process, so that neighbours on the machine disturb it little.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import tell
from tests.server import Server, free_port

pytestmark = pytest.mark.benchmark

SIZE = 2048
EVENTS = 20


@dataclass
class Figures:
    cpu: float  # microseconds per client and event
    memory: float  # KB per stream
    threads: int
    last: float  # milliseconds until the last client had an event, median


class Crowd:
    """Many raw sockets with an open stream each."""

    def __init__(self, port: int, count: int, request: Callable[[int], str]) -> None:
        self.epoll = select.epoll()
        self.sockets = {}
        for n in range(count):
            opened = socket.create_connection(("127.0.0.1", port))
            opened.sendall(request(n).encode())
            assert opened.recv(12) == b"HTTP/1.1 200"
            opened.setblocking(False)
            self.epoll.register(opened, select.EPOLLIN)
            self.sockets[opened.fileno()] = opened
        self.drain(quiet=0.5)

    def drain(self, *, quiet: float) -> None:
        while ready := self.epoll.poll(quiet):
            for number, _ in ready:
                self.sockets[number].recv(1 << 20)

    def wait_for(self, ending: bytes) -> tuple[float, int]:
        """Until everybody has read ``ending``: the seconds it took, and the bytes read by all."""
        began, missing, total = time.perf_counter(), set(self.sockets), 0
        tails: dict[int, bytes] = {}
        while missing:
            ready = self.epoll.poll(20)
            assert ready, f"{len(missing)} streams got nothing more"
            for number, _ in ready:
                part = self.sockets[number].recv(1 << 20)
                assert part, "a stream has ended"
                total += len(part)
                tails[number] = tails.get(number, b"")[-64:] + part
                if ending in tails[number]:
                    missing.discard(number)
        return time.perf_counter() - began, total

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()
        self.epoll.close()


def census(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/census/", timeout=20) as answer:
        counts: dict[str, Any] = json.load(answer)
        return counts


def request(path: str, page: int) -> str:
    lines = ["host: x", "accept: text/event-stream", f"x-live-page: p{page}", "x-channels: topic:all"]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""])


def measure(port: int, count: int, path: str, fire: Callable[[int], bytes]) -> Figures:
    """``fire(n)`` sends the n-th event and returns what everybody will have read then."""
    empty = census(port)
    with closing(Crowd(port, count, lambda n: request(path, n))) as crowd:
        full, times = census(port), []
        for n in range(EVENTS):
            seconds, _ = crowd.wait_for(fire(n))
            times.append(seconds * 1000)
        cpu = census(port)["cpu"] - full["cpu"]
    return Figures(
        cpu=cpu / count / EVENTS * 1e6,
        memory=(full["memory"] - empty["memory"]) / count / 1024,
        threads=full["threads"],
        last=sorted(times)[EVENTS // 2],
    )


@contextmanager
def bare_server(size: int = SIZE) -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bare_server", str(port), str(size)])
    try:
        while True:
            try:
                census(port)
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


@contextmanager
def uvicorn(folder: Path, app: str, **env: str) -> Iterator[int]:
    env = {"DJANGO_SETTINGS_MODULE": "tests.http.settings", "TRANSPORT_SETTINGS": STREAMS, **env}
    server = Server(app, log=folder / "server.log", env=env).start()
    try:
        yield server.port
    finally:
        server.kill()  # streams of the stock view outlive SIGTERM


STREAMS = json.dumps({"HEARTBEAT": 600})  # no beats between two measurements


def fire_bare(port: int) -> Callable[[int], bytes]:
    def fire(n: int) -> bytes:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/fire").close()
        return b"x\n\n\r\n"

    return fire


def fire_ours(port: int) -> Callable[[int], bytes]:
    def fire(n: int) -> bytes:
        data = f"<p>{n}</p>".ljust(SIZE, "x")
        tell(port, ("publish", {"channels": ["topic:all"], "target": "t", "data": data}))
        return b"x\n\n\r\n"

    return fire


def fire_stock(port: int) -> Callable[[int], bytes]:
    def fire(n: int) -> bytes:
        tell(port, ("send_event", {"channel": "news", "data": f"<p>{n}</p>".ljust(SIZE - 2, "x")}))
        return b'x"\n\n\r\n'

    return fire


@pytest.mark.parametrize("count", [1000, 3000])
def test_one_event_to_many_streams(tmp_path, count):
    with bare_server() as port:
        bare = measure(port, count, "/", fire_bare(port))
    with uvicorn(tmp_path, "tests.benchmarks.bare_asgi:application") as port:
        asgi = measure(port, count, "/", fire_bare(port))
    with uvicorn(tmp_path, "tests.http.app:application") as port:
        ours = measure(port, count, "/live/stream/", fire_ours(port))
    with uvicorn(tmp_path, "tests.http.app:plain", TRANSPORT_STOCK="1") as port:
        stock = measure(port, count, "/events/", fire_stock(port))
    print(f"\none event of {SIZE} bytes to {count} streams on {os.cpu_count()} cores")
    for name, figures in (("bare", bare), ("asgi", asgi), ("ours", ours), ("stock", stock)):
        print(
            f"  {name:5}  {figures.cpu:6.1f} µs CPU per client, {figures.memory:5.1f} KB per stream, "
            f"{figures.threads:4} threads, last client after {figures.last:5.0f} ms"
        )
    print(
        f"  CPU: ours is {ours.cpu / bare.cpu:.1f} times a bare server and {ours.cpu / asgi.cpu:.1f} times a bare "
        f"application on uvicorn; stock is {stock.cpu / ours.cpu:.1f} times ours"
    )


def test_a_burst_of_states_to_a_thousand_streams(tmp_path):
    count, states = 1000, 50
    with (
        uvicorn(tmp_path, "tests.http.app:application") as port,
        closing(Crowd(port, count, lambda n: request("/live/stream/", n))) as crowd,
    ):
        one = census(port)["cpu"]
        crowd.wait_for(fire_ours(port)(0))
        burst = census(port)["cpu"]
        data = [f"<p>{n}</p>".ljust(SIZE, "x") for n in range(states - 1)] + ["the last of all".rjust(SIZE, "x")]
        calls = [("publish", {"channels": ["topic:all"], "target": "t", "data": each}) for each in data]
        tell(port, *calls)
        seconds, total = crowd.wait_for(b"the last of all")
        after = census(port)["cpu"]
    sent = total / count / SIZE
    print(f"\na burst of {states} states to {count} streams: the last state reaches all after {seconds * 1000:.0f} ms")
    print(f"  CPU {(after - burst) / (burst - one):.1f} times that of one state; {sent:.1f} states sent to a client")
