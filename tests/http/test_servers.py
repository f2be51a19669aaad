"""Every server that the documentation names ends when it is told to, while streams are open."""

import asyncio
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.http.client import RawStream
from tests.progress.test_event_streams import until_end
from tests.server import Server
from tests.threats.serving import environment
from tests.threats.wire import Browser

pytestmark = pytest.mark.processes

PATIENCE = 20.0  # seconds: far more than a server that does not wait for streams takes
# Seconds that a server gives open responses: one that still waits for a stream fails the test.
GRACE = "60"

COMMANDS = {
    "uvicorn": ["uvicorn", "--timeout-graceful-shutdown", GRACE, "--log-level", "warning"],
    "uvicorn, two workers": ["uvicorn", "--timeout-graceful-shutdown", GRACE, "--log-level", "warning", "--workers=2"],
    "gunicorn": ["gunicorn", "-k", "uvicorn_worker.UvicornWorker", "--graceful-timeout", GRACE],
    "hypercorn": ["hypercorn", "--graceful-timeout", GRACE],
    "daphne": ["daphne", "--application-close-timeout", GRACE],
    "granian": ["granian", "--interface", "asgi", "--workers-kill-timeout", GRACE],
}


class AnyServer(Server):
    """One of the servers above."""

    name = "uvicorn"

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        if self.name in ("gunicorn", "hypercorn"):
            where = ["--bind", f"127.0.0.1:{self.port}"]
        elif self.name == "daphne":
            where = ["--bind", "127.0.0.1", "--port", str(self.port)]
        program, *options = COMMANDS[self.name]
        return [str(Path(sys.executable).with_name(program)), *options, *where, self.app]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """With a database that all these servers use."""
    folder = tmp_path_factory.mktemp("servers")
    shutil.copy(empty_database, folder / "db.sqlite3")
    return folder


ALL = [
    pytest.param(name, how, marks=[] if how == "stop" or name == "uvicorn" else pytest.mark.faults)
    for name in COMMANDS
    for how in ("stop", "interrupt", "press_ctrl_c")
]


@pytest.mark.parametrize(("name", "how"), ALL)
def test_it_ends_while_streams_are_open(folder: Path, name: str, how: str, request: pytest.FixtureRequest) -> None:
    env = environment(folder)
    if "workers" in name:
        redis = request.getfixturevalue("redis_server")
        env = environment(folder, REDIS_URL=redis.url, REDIS_PREFIX=f"{name}-{how}:")
    server = AnyServer("tests.threats.asgi:application", log=folder / f"{name}-{how}.log", env=env)
    server.name = name

    async def scenario() -> float:
        async with asyncio.timeout(2 * PATIENCE), Browser(server.port) as browser:
            page = await browser.open("/counter/")
            streams = [await browser.stream(page.page), await browser.stream("", await browser.get("/work/"))]
            for stream in streams:
                assert stream.status == 200
                await stream.event()
            ending = asyncio.create_task(asyncio.to_thread(getattr(server, how)))
            await asyncio.gather(*(_until_closed(stream) for stream in streams))
            return await ending

    with server:
        seconds = asyncio.run(scenario())
    assert "Traceback" not in server.log.read_text()
    assert seconds < PATIENCE


async def _until_closed(stream: RawStream) -> None:
    """Some servers close the connection without the end of the response."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        await until_end(stream)
