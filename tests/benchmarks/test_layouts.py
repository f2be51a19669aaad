"""What layouts cost, as ratios of times that were measured in one run.

Each line: what was compared, the ratio, and what it should be at most.
"""

import copy
import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from tests.benchmarks import layouts_site
from tests.layouts.site_templates import BENCHMARK
from tests.server import Server

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bench-layouts")
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.layouts.server_settings",
        "LAYOUTS_DATABASE": str(folder / "db.sqlite3"),
        "LAYOUTS_URLCONF": "tests.benchmarks.layouts_site",
    }
    with Server("tests.layouts.asgi:application", log=Path(folder) / "server.log", env=env) as running:
        yield running


def first_byte(connection: http.client.HTTPConnection, path: str) -> float:
    """Seconds until the page's first part is there; the rest is read, and not measured."""
    started = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read1()
    seconds = time.perf_counter() - started
    assert response.status == 200
    response.read()
    return seconds


def whole(connection: http.client.HTTPConnection, path: str) -> float:
    started = time.perf_counter()
    connection.request("GET", path)
    connection.getresponse().read()
    return time.perf_counter() - started


def compare(server: Server, measured: Callable[..., float], one: str, other: str, *, times: int) -> float:
    """How much longer ``one`` takes than ``other``, measured in turn."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    for path in (one, other) * 3:
        measured(connection, path)
    pairs = [(measured(connection, one), measured(connection, other)) for _ in range(times)]
    connection.close()
    return median(first for first, _ in pairs) / median(second for _, second in pairs)


def report(what: str, ratio: float, most: float) -> None:
    print(f"\n{what}: {ratio:.2f} (at most {most})", end="")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_page_takes_as_long_as_its_slowest_panel(server: Server, kind: str, count: int) -> None:
    ratio = compare(server, whole, f"/{kind}/{count}/", "/slow/", times=20)
    report(f"{count} {kind} panels of 50 ms / one view of 50 ms", ratio, 1.3)


def test_the_first_byte_does_not_wait_for_a_streamed_panel(server: Server) -> None:
    report(
        "first byte with a streamed panel of 1 s / without it",
        compare(server, first_byte, "/streamed/", "/plain/", times=8),
        1.2,
    )


def test_a_cached_panel_costs_a_fraction_of_its_render(server: Server) -> None:
    report(
        "page with a cached panel of 50 ms / uncached", compare(server, whole, "/cached/", "/rendered/", times=20), 0.2
    )


def test_four_panels_over_four_includes_on_a_server(server: Server) -> None:
    report(
        "four panels / four includes, sync view on uvicorn",
        compare(server, whole, "/four/", "/includes/", times=200),
        2,
    )
    report(
        "four panels / four includes, async view on uvicorn",
        compare(server, whole, "/afour/", "/includes/", times=200),
        2,
    )


def test_four_panels_over_four_includes_in_one_call() -> None:
    engine = copy.deepcopy(settings.TEMPLATES)
    engine[0]["APP_DIRS"] = False
    locmem = ("django.template.loaders.locmem.Loader", BENCHMARK)
    engine[0]["OPTIONS"]["loaders"] = [("django.template.loaders.cached.Loader", [locmem])]
    with override_settings(TEMPLATES=engine):
        ratio = median(called(layouts_site.four_panels) / called(layouts_site.includes) for _ in range(30))
    report("four panels / four includes, the call alone", ratio, 2)


def called(view: Callable[[HttpRequest], object]) -> float:
    requests = [RequestFactory().get("/") for _ in range(50)]
    started = time.perf_counter()
    for request in requests:
        view(request)
    return time.perf_counter() - started
