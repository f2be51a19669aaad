"""The demo's overview without a browser: four ways to answer, and the waterfall that each of them draws."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from demo.overview.waterfall import Bar, bars_of
from tests.demo.test_demo import Links, Visitor
from tests.server import Server, demo_server

pytestmark = pytest.mark.processes

WAYS = ["plain", "async", "lazy", "streamed"]
PANELS = ["revenue", "sellers", "courier", "rates"]
METRIC = r'(\w+);dur=([\d.]+);desc="at ([\d.]+) ms"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("overview")) as running:
        yield running


@pytest.fixture(scope="module")
def anna(server: Server) -> Visitor:
    return Visitor(server).sign_in("anna")


def timing(visitor: Visitor, path: str) -> tuple[str, str]:
    """The page and its Server-Timing."""
    with visitor.opener.open(visitor.url + path, timeout=30) as answer:
        return answer.read().decode(), answer.headers["Server-Timing"]


def panel(visitor: Visitor, url: str) -> str:
    """What htmx is answered."""
    with visitor.opener.open(Request(visitor.url + url, headers={"HX-Request": "true"}), timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def bars(html: str) -> dict[str, tuple[int, int]]:
    """The rectangles of a page by their row."""
    found = re.findall(r'<p class="bar (\w+)"><svg[^>]*><rect x="(\d+)" width="(\d+)"', html)
    return {row: (int(x), int(width)) for row, x, width in found}


def test_a_bar_is_where_the_header_says(settings: Any) -> None:
    settings.DEMO_PACE = 0.625  # the axis is 10 s long
    header = 'content;dur=1.0;desc="at 0.0 ms", a;dur=2500.0;desc="at 500.0 ms", b;desc="lazy"'
    assert bars_of(header) == [Bar(row="a", started=0.5, seconds=2.5)]
    assert (bars_of(header)[0].x, bars_of(header)[0].width) == (50, 250)


@pytest.mark.parametrize(
    ("started", "seconds", "x", "width"),
    [(-1, 0, 0, 4), (0, 99, 0, 1000), (9, 9, 900, 100), (99, 1, 996, 4)],
    ids=["too early", "too long", "beyond the end", "after the end"],
)
def test_a_bar_stays_on_its_axis(settings: Any, started: float, seconds: float, x: int, width: int) -> None:
    settings.DEMO_PACE = 0.625
    bar = Bar(row="a", started=started, seconds=seconds)
    assert (bar.x, bar.width) == (x, width)


@pytest.mark.parametrize("way", WAYS)
def test_the_overview_asks_for_a_login(server: Server, way: str) -> None:
    assert Visitor(server).get(f"/overview/{way}/")[0] == f"/login/?next=/overview/{way}/"


@pytest.mark.parametrize("way", WAYS)
def test_a_page_keeps_to_the_strict_policy_and_to_its_own_host(anna: Visitor, way: str) -> None:
    links = Links(anna.get(f"/overview/{way}/")[1])
    assert [link for link in links.found if re.match(r"(?i)[a-z]+:|//", link)] == []
    assert links.styled == []


@pytest.mark.parametrize("way", ["plain", "async"])
def test_the_waterfall_is_drawn_from_the_pages_own_header(anna: Visitor, way: str) -> None:
    page, header = timing(anna, f"/overview/{way}/")
    units = 1000 / 200  # of the axis, per millisecond: without DEMO_PACE it is 0.2 s long
    told = {name: min(round(float(at) * units), 996) for name, _, at in re.findall(METRIC, header) if name in PANELS}
    drawn = bars(page)
    assert list(told) == PANELS
    assert list(drawn) == ["page", *told]
    assert all(abs(drawn[name][0] - x) <= 1 for name, x in told.items())  # the header's figures are rounded


def test_plain_panels_run_one_after_the_other(anna: Visitor) -> None:
    metrics = re.findall(METRIC, timing(anna, "/overview/plain/")[1])
    spans = [(float(at), float(took)) for name, took, at in metrics if name in PANELS]
    rounding = 0.2  # milliseconds
    assert all(began + took <= after + rounding for (began, took), (after, _) in pairwise(spans))


def test_a_lazy_page_is_sent_without_its_panels(anna: Visitor) -> None:
    page, header = timing(anna, "/overview/lazy/")
    assert re.findall(r'(\w+);desc="lazy"', header) == [*PANELS, "forecast"]
    assert list(bars(page)) == ["page"]
    assert len(lazy_urls(page)) == 5


def lazy_urls(page: str) -> list[str]:
    return re.findall(r'data-layout-panel="\w+"[^>]* hx-get="([^"]+)"', page)


def test_each_lazy_panel_brings_its_own_bar(anna: Visitor) -> None:
    urls = lazy_urls(anna.get("/overview/lazy/")[1])
    assert [list(bars(panel(anna, url))) for url in urls] == [[name] for name in PANELS] + [[]]


def test_a_lazy_panel_is_for_the_user_of_its_page_only(server: Server, anna: Visitor) -> None:
    url = lazy_urls(anna.get("/overview/lazy/")[1])[0]
    for stranger in (Visitor(server), Visitor(server).sign_in("ben")):
        with pytest.raises(HTTPError) as refused:
            panel(stranger, url)
        assert refused.value.code == 403
        refused.value.close()


def test_streamed_panels_and_their_bars_follow_in_the_same_response(anna: Visitor) -> None:
    page, header = timing(anna, "/overview/streamed/")
    assert re.findall(r'(\w+);desc="stream"', header) == PANELS
    following = re.findall(r'<template data-layout-for="(\w+)">(.*?)</template>', page, flags=re.DOTALL)
    assert sorted(name for name, _ in following) == sorted(PANELS)
    assert {name: list(bars(html)) for name, html in following} == {name: [name] for name in PANELS}


@pytest.mark.parametrize("way", WAYS)
def test_a_failing_panel_leaves_the_others_and_tells_no_secret(server: Server, anna: Visitor, way: str) -> None:
    page = anna.get(f"/overview/{way}/")[1]
    parts = [page, *(panel(anna, url) for url in lazy_urls(page))]
    shown = "".join(part.partition('<div class="code">')[0] + part.partition("</main>")[2] for part in parts)
    assert "This part of the page could not be loaded." in shown
    assert "Espresso beans Napoli" in shown and "parcels to hand over" in shown
    assert "rates.internal" not in shown and "Traceback" not in shown
    assert "ConnectionError: rates.internal:8443" in server.log.read_text()


def test_the_couriers_view_is_no_page(anna: Visitor) -> None:
    with pytest.raises(HTTPError) as refused:
        anna.get("/overview/courier/")
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize("way", WAYS)
def test_each_page_shows_the_code_that_makes_it(anna: Visitor, way: str) -> None:
    page = anna.get(f"/overview/{way}/")[1]
    layout = {"lazy": "LazyOverview", "streamed": "StreamedOverview"}.get(way, "Overview")
    files = ["layouts.py", "views.py", "panels.py", "page.html"]
    assert re.findall(r'<span class="code-nc">(\w+)</span>', page) == [layout]
    assert re.findall(r'<label for="code-\w+-\d">([^<]+)<', page) == files
