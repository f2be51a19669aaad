"""Ticks of many processes: one of all makes them, another takes over when that is killed, and a command can do it.

Real servers that share a real Redis.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.faults.viewers import PATIENCE, Viewer, ask
from tests.redis_server import RedisServer
from tests.server import Server


def environment(redis: RedisServer, name: str, **chosen: str) -> dict[str, str]:
    live = {"REDIS_URL": redis.url, "REDIS_PREFIX": f"{name}:", **chosen}
    return {"DJANGO_SETTINGS_MODULE": "tests.messaging.push_settings", "PUSH_SETTINGS": json.dumps(live)}


def server(folder: Path, name: str, env: dict[str, str]) -> Server:
    return Server("tests.benchmarks.asgi:application", log=folder / f"{name}.log", env=env)


def count_of(html: str) -> int:
    return int(re.findall(r"(\d+) ticks", html)[0])


async def more_ticks(viewer: Viewer, number: int) -> None:
    shown = count_of(viewer.html)
    await viewer.until(lambda html: count_of(html) >= shown + number)


async def made_by(*running: Server) -> list[int]:
    """How many ticks each process has made so far."""
    return [(await asyncio.to_thread(ask, one.port))["ticks"] for one in running]


def test_one_process_of_two_ticks_and_the_other_takes_over_when_it_is_killed(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    env = environment(redis_server, "two")
    first, second = server(tmp_path, "first", env), server(tmp_path, "second", env)

    async def scenario() -> None:
        one = await Viewer.open(first.port, "/Ticks/")
        other = await Viewer.open(second.port, "/Ticks/")
        await asyncio.gather(more_ticks(one, 10), more_ticks(other, 10))
        assert 0 in await made_by(first, second)
        mine, theirs = await made_by(first, second)
        ticking, left = (first, other) if mine > theirs else (second, one)
        await asyncio.to_thread(ticking.kill)
        await more_ticks(left, 10)
        await asyncio.gather(one.close(), other.close(), return_exceptions=True)  # one was cut off

    with first, second:
        asyncio.run(scenario())


def test_the_command_ticks_for_servers_that_leave_it_alone_and_ends_when_it_is_told(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    env = environment(redis_server, "command", TICKS="command")
    running = server(tmp_path, "server", env)
    command = [sys.executable, "-m", "django", "live_ticks", "--look", "0.1"]

    async def scenario() -> None:
        viewer = await Viewer.open(running.port, "/Ticks/")
        with subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True) as process:
            try:
                await more_ticks(viewer, 5)
                assert await made_by(running) == [0]
            finally:
                process.terminate()
                output, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, "Ticks" in output) == (0, True)
        await viewer.close()

    with running:
        asyncio.run(scenario())
