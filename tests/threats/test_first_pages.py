"""The first pages of a user that load at one moment, after the login: each gets its stream."""

import asyncio
import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.cookies import SimpleCookie
from threading import Barrier

import pytest

from tests.server import Server
from tests.threats.test_streams import environment, serve
from tests.threats.visitor import Page
from tests.transport.client import RawStream

PAGES = 30


@pytest.fixture(scope="module", params=["one process", "two processes"])
def ports(request, tmp_path_factory, redis_server):
    folder = tmp_path_factory.mktemp("first")
    shared = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": f"{folder.name}:"}
    with ExitStack() as stack:
        if request.param == "one process":
            yield [stack.enter_context(serve(folder)).port]
            return
        first = stack.enter_context(serve(folder, **shared))
        env, log = environment(folder, **shared), folder / "second.log"
        yield [first.port, stack.enter_context(Server("tests.threats.asgi:application", log=log, env=env)).port]


class Jar(SimpleCookie):
    """A browser's cookies: the newest of a name stays."""

    def fetch(self, port, path):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", path, headers={"Cookie": self.text})
            answer = connection.getresponse()
            html = answer.read().decode()
            for line in answer.headers.get_all("Set-Cookie") or []:
                self.load(line)
        assert answer.status == 200, (path, answer.status)
        return html

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


def test_pages_that_load_at_one_moment_after_a_login_all_have_their_streams(ports):
    jar = Jar()
    jar.fetch(ports[0], "/login/alice/")
    assert streams(jar, ports, load_at_once(jar, ports)) == [200] * PAGES
