"""The nginx configuration in the deployment guide: a real nginx takes it, passes streams on and limits them."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT, free_port
from tests.threats.serving import serve
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
LIMIT = 3


@pytest.fixture
def port(tmp_path: Path, empty_database: Path) -> Iterator[int]:
    """Of an nginx in front of a site; without TLS, and with a lower limit."""
    if NGINX is None:
        pytest.fail("Install nginx (on Debian or Ubuntu: nginx-light).")
    guide = (ROOT / "docs" / "deployment.md").read_text()
    [found] = re.findall(r"```nginx\n(.*?)```", guide, re.DOTALL)
    here = free_port()
    with serve(tmp_path, empty_database) as site:
        changes = [("127.0.0.1:8000", f"127.0.0.1:{site.port}"), ("443 ssl http2", f"127.0.0.1:{here}")]
        changes.append(("streams 100", f"streams {LIMIT}"))
        text = re.sub(r"\n *ssl_[^\n]*", "", found)
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        settings = tmp_path / "nginx.conf"
        paths = "".join(
            f"{name}_temp_path {tmp_path};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        settings.write_text(
            f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off;\n{paths}{text}}}\n"
        )
        command = [NGINX, "-p", str(tmp_path), "-c", str(settings), "-e", f"{tmp_path}/error.log"]
        subprocess.run([*command, "-t"], check=True)
        running = subprocess.Popen(command)
        try:
            yield here
        finally:
            running.terminate()
            running.wait(30)


async def reached(browser: Browser, path: str) -> str:
    """The page, once nginx listens."""
    while True:
        try:
            return await browser.get(path)
        except ConnectionError:
            await asyncio.sleep(0.05)
        except OSError as error:  # urllib's, around the refusal
            if "refused" not in str(error):
                raise
            await asyncio.sleep(0.05)


def test_it_limits_the_streams_of_one_address_whatever_their_cookies(port: int) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(60), Browser(port) as first, Browser(port) as second:
            await reached(first, "/counter/")
            pages = [(browser, await browser.open("/counter/")) for browser in (first, second)]
            streams = [await browser.stream(page.page) for browser, page in pages]
            streams.append(await first.stream("", await first.get("/work/")))
            assert [stream.status for stream in streams] == [200] * LIMIT
            for stream in streams:
                assert await stream.event() is not None  # it is passed on at once
            assert (await second.stream(pages[1][1].page)).status == 429
            await second.get("/counter/")  # pages are not limited

    asyncio.run(scenario())
