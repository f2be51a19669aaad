"""Processes that end, and processes that are forked: none waits for a job, none takes a push with it, none hangs."""

import multiprocessing
import subprocess
import sys
from typing import Any

import pytest

from htmx_live import backends as bus
from htmx_live.backends.redis import client as redis_connection
from tests.jobs.celery.cluster import PATIENCE, ROOT, Page, worker_environment
from tests.jobs.celery.conftest import Bell, broker_of
from tests.jobs.celery.views import Metrics
from tests.redis_server import RedisServer

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("job", ["hang", "hang_async", "hang_aside", "hang_in_the_middle"])
def test_a_process_that_is_asked_to_end_waits_for_no_job(bell: Bell, job: str) -> None:
    command = [sys.executable, "-m", "tests.jobs.celery.lone_server", job, bell.path, "0"]
    server = subprocess.Popen(command, cwd=ROOT, env=worker_environment({}, "memory://"), stdout=subprocess.DEVNULL)
    try:
        bell.wait()
        server.terminate()
        assert server.wait(5) == 0
    finally:
        server.kill()
        server.wait()


def test_a_command_that_pushes_ends_when_its_push_is_done(site: None, redis_server: RedisServer, settings: Any) -> None:
    page = Page(Metrics)
    command = [sys.executable, "-m", "tests.jobs.celery.lone_command", "7"]
    environment = worker_environment(settings.HTMX_LIVE, broker_of(redis_server))
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=PATIENCE)
    assert page.state["pending_orders"] == 7


@pytest.mark.parametrize("module", [redis_connection, bus], ids=["connection", "bus"])
def test_a_process_that_is_forked_while_another_thread_connects_connects_too(site: None, module: Any) -> None:
    with bus.override_bus(None), module._lock:  # as that thread holds it
        child = multiprocessing.get_context("fork").Process(target=connect)
        child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0


def connect() -> None:
    assert redis_connection.redis_connection().call("PING") is True
    assert bus.bus().position()
