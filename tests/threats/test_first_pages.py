"""The first pages of a browser that load at one moment: each gets its stream and can be used."""

import asyncio
import http.client
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.cookies import SimpleCookie
from threading import Barrier

import pytest

from htmx_live.runtime.owners import COOKIE_PREFIX
from tests.http.client import RawStream
from tests.threats.serving import another, serve
from tests.threats.visitor import Page

PAGES = 30


@pytest.fixture(scope="module", params=["one-process", "two-processes"])
def folder(request, tmp_path_factory):
    return tmp_path_factory.mktemp(request.param, numbered=False)


@pytest.fixture(scope="module")
def ports(folder, redis_server, empty_database):
    shared = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{folder.name}:"}
    with ExitStack() as stack:
        if folder.name == "one-process":
            yield [stack.enter_context(serve(folder, empty_database)).port]
            return
        first = stack.enter_context(serve(folder, empty_database, **shared))
        yield [first.port, stack.enter_context(another(first)).port]


class Jar(SimpleCookie):
    """A browser's cookies: the newest of a name stays."""

    def fetch(self, port, path):
        status, html = self.ask(port, "GET", path)
        assert status == 200, (path, status)
        return html

    def post(self, port, page):
        """The status of a click on ``page``, whose script reads the CSRF token from the cookie."""
        given = {"X-Live": page.live, "X-Live-Page": page.page, "X-Live-Rev": "1"}
        return self.ask(port, "POST", "/live/event/add/", **given, **{"X-CSRFToken": self["csrftoken"].value})[0]

    def ask(self, port, method, path, **headers):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request(method, path, headers={"Cookie": self.text, **headers})
            answer = connection.getresponse()
            html = answer.read().decode()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.load(line)
        return answer.status, html

    @property
    def text(self):
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self.items() if morsel.value)


def load_at_once(jar, ports):
    """As many pages, whose requests leave before the first answer is there."""
    cookies, together = jar.text, Barrier(PAGES)

    def load(number):
        own = Jar(cookies)
        together.wait()
        html = own.fetch(ports[number % len(ports)], "/counter/")
        jar.load(own.output(header="", sep=";"))
        return html

    with ThreadPoolExecutor(PAGES) as pool:
        return list(pool.map(load, range(PAGES)))


def streams(jar, ports, pages):
    """The statuses of their streams, all open at the same time."""

    async def run():
        opened = [
            await RawStream.open(ports[number % len(ports)], x_live_page=Page.of(None, html).page, cookie=jar.text)
            for number, html in enumerate(pages)
        ]
        await asyncio.gather(*(stream.close() for stream in opened))
        return [stream.status for stream in opened]

    return asyncio.run(run())


def click_each(jar, ports, pages):
    def click(number):
        return Jar(jar.text).post(ports[number % len(ports)], Page.of(None, pages[number]))

    with ThreadPoolExecutor(PAGES) as pool:
        return list(pool.map(click, range(PAGES)))


def sessions(folder):
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        return database.execute("SELECT count(*) FROM django_session").fetchone()


def test_pages_of_a_visitor_that_load_at_one_moment_all_have_their_streams_and_can_be_used(ports, folder):
    before, jar = sessions(folder), Jar()
    pages = load_at_once(jar, ports)
    assert len([name for name in jar if name.startswith(COOKIE_PREFIX)]) == PAGES
    assert streams(jar, ports, pages) == [200] * PAGES
    assert click_each(jar, ports, pages) == [200] * PAGES
    later = jar.fetch(ports[-1], "/counter/")
    assert jar.post(ports[0], Page.of(None, later)) == 200
    assert len([name for name in jar if name.startswith(COOKIE_PREFIX)]) == PAGES  # it sets no further one
    assert streams(Jar(), ports, pages) == [404] * PAGES
    assert sessions(folder) == before


def test_pages_that_load_at_one_moment_after_a_login_all_have_their_streams(ports):
    jar = Jar()
    jar.fetch(ports[0], "/join/alice/")
    assert streams(jar, ports, load_at_once(jar, ports)) == [200] * PAGES


@pytest.mark.parametrize("path", ["/join/alice/", "/logout/"])
def test_a_login_or_logout_ends_the_streams_of_all_of_them(ports, path):
    async def run():
        jar = Jar()
        pages = load_at_once(jar, ports)
        opened = [
            await RawStream.open(ports[number % len(ports)], x_live_page=Page.of(None, html).page, cookie=jar.text)
            for number, html in enumerate(pages)
        ]
        await asyncio.gather(*(stream.settle() for stream in opened))
        await asyncio.to_thread(jar.fetch, ports[0], path)
        ends = [await stream.until("bye") for stream in opened]
        await asyncio.gather(*(stream.close() for stream in opened))
        assert [events[-1].name for events in ends] == ["bye"] * PAGES
        assert not any(jar[name].value for name in jar if name.startswith(COOKIE_PREFIX))
        return jar, pages

    jar, pages = asyncio.run(run())
    assert streams(jar, ports, pages) == [404] * PAGES
    # The user mounts them again; after a logout they are a stranger's.
    assert click_each(jar, ports, pages) == [200 if "join" in path else 404] * PAGES
