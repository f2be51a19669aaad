"""Clicks: a live view's round trip against a plain htmx view's, and beside another user's job."""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path
from statistics import median, quantiles

import pytest

from tests.server import Server

pytestmark = pytest.mark.benchmark
ROUNDS = 300


class Browser:
    """One connection that is kept alive, with its cookies."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._cookies: SimpleCookie = SimpleCookie()

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: str = "", **headers: str) -> str:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self._connection.request(method, path, body, {"Cookie": cookies, **kind, **headers})
        answer = self._connection.getresponse()
        for value in answer.headers.get_all("Set-Cookie") or []:
            self._cookies.load(value)
        text = answer.read().decode()
        assert answer.status in (200, 204), (path, answer.status)
        return text


class LivePage(Browser):
    def __init__(self, server: Server) -> None:
        super().__init__(server)
        html = self.request("GET", "/table/")
        self._csrf, self._page = _found('data-csrf="(.*?)"', html), _found('data-page="(.*?)"', html)
        self._grant = _found('data-live="(.*?)"', html)

    def event(self, handler: str) -> str:
        grants = {"X-Live": self._grant, "X-Live-Page": self._page, "X-CSRFToken": self._csrf, "HX-Request": "true"}
        return self.request("POST", f"/live/event/{handler}/", "_args=%7B%7D", **grants)


class PlainPage(Browser):
    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._csrf = _found('csrfmiddlewaretoken" value="(.*?)"', self.request("GET", "/plain/"))

    def click(self) -> str:
        return self.request("POST", "/plain/", "a=1", **{"X-CSRFToken": self._csrf, "HX-Request": "true"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log: Path = tmp_path_factory.mktemp("clicks") / "server.log"
    env = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings"}
    with Server("tests.benchmarks.asgi:application", log=log, env=env) as running:
        yield running


def test_click_round_trip_against_plain_htmx(server: Server) -> None:
    with closing(LivePage(server)) as live, closing(PlainPage(server)) as plain:
        lives, plains = _in_turn(lambda: live.event("add"), plain.click)
    ratio = median(lives) / median(plains)
    print(f"\nclick round trip, 2 KB of state: {ratio:.2f}x plain htmx (goal 2.0x)", _milliseconds(lives, plains))


def test_click_beside_another_users_job(server: Server) -> None:
    quiet, beside = [], []
    with closing(LivePage(server)) as clicking, closing(LivePage(server)) as working:
        for _ in range(5):
            quiet += [_timed(lambda: clicking.event("add")) for _ in range(ROUNDS // 5)]
            working.event("work")
            beside += [_timed(lambda: clicking.event("add")) for _ in range(ROUNDS // 5)]
    ratio = median(beside) / median(quiet)
    print(
        f"\nclick while another user's 2 s job runs: {ratio:.2f}x its quiet time (goal 1.2x)",
        _milliseconds(beside, quiet),
    )


def _in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[list[float], list[float]]:
    for _ in range(20):
        first(), second()
    pairs = [(_timed(first), _timed(second)) for _ in range(ROUNDS)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _milliseconds(*series: list[float]) -> str:
    return ", ".join(
        f"median {median(one) * 1000:.1f} ms p95 {quantiles(one, n=20)[-1] * 1000:.1f} ms" for one in series
    )


def _found(pattern: str, html: str) -> str:
    match = re.search(pattern, html)
    assert match is not None, pattern
    return match[1]
