"""Layouts on a real uvicorn: panels side by side, database connections, and pages that arrive in parts."""

import http.client
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.server import Server

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("layouts")
    env = {"DJANGO_SETTINGS_MODULE": "tests.layouts.server_settings", "LAYOUTS_DATABASE": str(folder / "db.sqlite3")}
    with Server("tests.layouts.asgi:application", log=Path(folder) / "server.log", env=env) as running:
        yield running


def fetch(server: Server, path: str) -> str:
    with urllib.request.urlopen(server.url + path, timeout=30) as response:
        text: str = response.read().decode()
        return text


def test_panel_threads_close_their_database_connections(server: Server) -> None:
    assert "<section" not in fetch(server, "/site/database/")
    assert fetch(server, "/site/connections/") == "3 0"


@pytest.mark.parametrize("address", ["page", "apage"])
def test_the_page_is_there_before_its_slow_panel(server: Server, address: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", f"/site/{address}/?show=slow&gate=first-{address}")
    response = connection.getresponse()
    head = response.read1().decode()
    assert "<h1>main</h1>" in head and "data-layout-for" not in head
    fetch(server, f"/site/open/first-{address}/")
    assert '<template data-layout-for="slow">' in response.read().decode()
    connection.close()


def test_a_hanging_panel_does_not_hold_the_server(server: Server) -> None:
    """More of them than there are threads, and pages are still served."""
    for _ in range(20):
        assert 'hx-trigger="load"' in fetch(server, "/site/apage/?show=limited&gate=hang")
    assert "waiting" in fetch(server, "/site/apage/?show=fast")
    fetch(server, "/site/open/hang/")
