"""The endpoints in a project that is set up in its own way."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client

from htmx_live import LiveView
from htmx_live.http import endpoints

LOGGER = "htmx_live.http"


class Ticking(LiveView):
    template_name = "views/counter.html"
    tick_interval = 1000


@pytest.fixture(autouse=True)
def warn_anew() -> Iterator[None]:
    endpoints._warn_about_server.cache_clear()
    yield
    endpoints._warn_about_server.cache_clear()


def test_under_wsgi_the_log_says_once_that_pages_poll_and_whose_ticks_wait(client: Client, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        statuses = [client.get("/live/stream/").status_code for _ in range(3)]
    [line] = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert statuses == [204, 204, 204]
    assert line.startswith("This server speaks WSGI, which has no streams: pages ask every 3 s instead, and show the")
    assert "Ticking" in line


def test_without_live_asgi_the_log_says_once_what_a_stream_costs(caplog: Any) -> None:
    async def ask() -> list[int]:
        return [(await AsyncClient().get("/live/stream/")).status_code for _ in range(2)]

    with caplog.at_level(logging.WARNING, LOGGER):
        assert asyncio.run(ask()) == [404, 404]  # for want of a grant
    [line] = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert line == "A stream comes through Django's handler: each page costs a thread. Use live_asgi in asgi.py."


@pytest.mark.parametrize("name", ["event/save/", "sync/", "notices/", "progress/grant/cancel/"])
def test_a_project_that_asks_for_a_login_everywhere_leaves_our_answers_to_us(
    client: Client, settings: Any, name: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert client.post(f"/live/{name}", headers={"X-Live-Page": "none"}).status_code in (204, 400, 404)  # no redirect
