"""A table of 200 rows with two actions each: each row a live view, rows included in one, and plain htmx."""

import gzip
import re
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from django.test import Client

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db]
ROUNDS = 30


@pytest.fixture
def client(settings: Any) -> Client:
    """The benchmarks' pages in this process, without a server: what is compared is work, not a network."""
    from tests.benchmarks import settings as chosen

    settings.ROOT_URLCONF, settings.TEMPLATES = chosen.ROOT_URLCONF, chosen.TEMPLATES
    settings.SESSION_ENGINE = chosen.SESSION_ENGINE
    return Client()


def test_200_nested_views_against_200_includes(client: Client) -> None:
    nested, included = _in_turn(lambda: client.get("/rows/"), lambda: client.get("/included/"))
    print(f"\npage with 200 nested views: {nested / included:.1f}x the page with 200 includes, {_ms(nested, included)}")
    print(f"one nested view costs {(nested - included) / 200 * 1e6:.0f} us to mount beyond an include")


def test_the_first_render(client: Client) -> None:
    live, plain = _in_turn(lambda: client.get("/included/"), lambda: client.get("/plain/rows/"))
    print(f"\nfirst render of a live table: {live / plain:.2f}x a plain table with htmx, {_ms(live, plain)}")


def test_click_on_a_row(client: Client) -> None:
    nested = _page(client, "/rows/", "Row 3<")
    included = _page(client, "/included/", "<table>")
    row = lambda: client.post("/plain/row/", {"pk": "3"})  # noqa: E731
    table = lambda: client.post("/plain/rows/")  # noqa: E731
    own, plain_row = _in_turn(lambda: nested("ship", {}), row)
    whole, plain_table = _in_turn(lambda: included("ship", {"pk": "3"}), table)
    print(f"\nclick on a live row: {own / plain_row:.2f}x htmx swapping it, {_ms(own, plain_row)}")
    print(f"click in a live table: {whole / plain_table:.2f}x htmx swapping it, {_ms(whole, plain_table)}")
    answers = {
        "own row": lambda: nested("ship", {}),
        "plain row": row,
        "whole live table": lambda: included("ship", {"pk": "3"}),
        "plain table": table,
    }
    for name, call in answers.items():
        body = call().content
        print(f"bytes on the wire, {name}: {len(body)}, gzipped {len(gzip.compress(body))}")


def test_a_click_on_the_parent_of_200_nested_views(client: Client) -> None:
    parent = _page(client, "/rows/", "<div id")
    included = _page(client, "/included/", "<table>")
    again, whole = _in_turn(lambda: parent("again", {}), lambda: included("ship", {"pk": "3"}))
    print(f"\nclick on the parent of 200 nested views: {again / whole:.2f}x a click that renders 200 includes")


def _page(client: Client, path: str, near: str) -> Callable[[str, dict[str, str]], Any]:
    """A function that posts an event from the root around the text ``near``."""
    html = client.get(path).content.decode()
    page = re.search('data-page="([^"]*)"', html)[1]  # type: ignore[index]
    grants = re.findall('data-live="([^"]*)"', html[: html.index(near) + len(near)] if near != "<div id" else html)
    grant = grants[0] if near == "<div id" else grants[-1]
    headers = {"X-Live": grant, "X-Live-Page": page, "HX-Request": "true"}
    return lambda handler, values: client.post(f"/live/event/{handler}/", values, headers=headers)


def _in_turn(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float]:
    first(), second()
    pairs = [(_timed(first), _timed(second)) for _ in range(ROUNDS)]
    return median(one for one, _ in pairs), median(other for _, other in pairs)


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    assert call().status_code in (200, 204)
    return time.perf_counter() - began


def _ms(*seconds: float) -> str:
    return " against ".join(f"{one * 1000:.1f} ms" for one in seconds)
