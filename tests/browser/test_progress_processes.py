"""Cards of progress where things are apart: in several web processes, in several tabs, and without a stream."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_progress import SITE, ask, create, open_page, page
from tests.redis_server import RedisServer
from tests.server import Server

__all__ = ["page"]

pytestmark = pytest.mark.browser
Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a web process with such settings."""
    with ExitStack() as stack:

        def start(**live: Any) -> Server:
            log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}"
            env = {**SITE, "PROGRESS_LIVE": json.dumps(live)}
            return stack.enter_context(Server("tests.browser.regions_asgi:application", log=log, env=env))

        yield start


def bar(page: Page) -> Locator:
    return page.get_by_role("progressbar", name="Import products")


def expect_shown(percent: int, *pages: Page) -> None:
    for one in pages:
        expect(bar(one)).to_have_attribute("aria-valuenow", str(percent))


def test_a_card_hears_of_the_other_process(page: Page, serve: Serve, redis_server: RedisServer) -> None:
    live = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": "cards:"}
    here, there = serve(**live), serve(**live)
    session, other = create(here, a="Import products"), page.context.new_page()
    open_page(page, here, "card", session)
    other.goto(f"{there.url}/page/card/?session={session}")
    for percent, server in ((10, here), (20, there), (30, here)):
        ask(server, f"/work/{session}/update/a/", current=str(percent), total="100")
        expect_shown(percent, page, other)
    other.reload()
    expect_shown(30, other)
    ask(there, f"/work/{session}/complete/a/")
    for one in (page, other):
        expect(one.locator("[data-live-done=complete]")).to_have_count(1)


def test_every_tab_follows_and_one_that_is_closed_takes_nothing_along(page: Page, serve: Serve) -> None:
    server, other = serve(), page.context.new_page()
    session = create(server, a="Import products")
    open_page(page, server, "card", session)
    other.goto(f"{server.url}/page/card/?session={session}")
    ask(server, f"/work/{session}/update/a/", current="10", total="100")
    expect_shown(10, page, other)
    other.close()
    page.reload()
    ask(server, f"/work/{session}/update/a/", current="60")
    expect_shown(60, page)


def test_a_card_is_asked_for_while_the_stream_is_away(page: Page, serve: Serve) -> None:
    server = serve(POLL_INTERVAL=0.2)
    session = create(server, a="Import products")
    page.route("**/live/stream/", lambda route: route.abort())
    page.goto(f"{server.url}/page/card/?session={session}")
    for percent in (10, 60):
        ask(server, f"/work/{session}/update/a/", current=str(percent), total="100")
        expect_shown(percent, page)
    ask(server, f"/work/{session}/complete/a/")
    page.wait_for_function("() => over.length > 0")
    assert page.evaluate("[over, ups]") == [["complete"], 0]
    page.unroute("**/live/stream/")
    page.wait_for_function("() => ups > 0")
