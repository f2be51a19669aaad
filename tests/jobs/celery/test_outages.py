"""Brokers and stores that go away: errors are quick, and nothing is left half-done or done twice."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.jobs.runner import Job
from htmx_live.runtime.services import override_services, services
from tests.jobs.celery.cluster import PATIENCE, ROOT, Page, wait_for, worker_environment
from tests.jobs.celery.conftest import Bell, broker_of, celery_app, live_settings, serving
from tests.jobs.celery.views import Desk
from tests.redis_server import RedisServer
from tests.server import free_port

pytestmark = pytest.mark.faults


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    return free_port()


@pytest.fixture
def own_redis(tmp_path: Path, settings: Any) -> Iterator[RedisServer]:
    """A Redis that may be frozen, and this process as one that serves with it."""
    with RedisServer(tmp_path) as server:
        settings.HTMX_LIVE = {
            "REDIS_URL": server.url,
            "REDIS_PREFIX": "celery-tests:",
            "RUNNER": "celery",
            "CELERY_QUEUE": "own",
            "JOB_LEASE": 4.0,
        }
        with serving(server):
            yield server


def test_a_job_that_no_broker_takes_is_refused_on_the_page(site: None, refusing: int) -> None:
    page = Page(Desk)
    with celery_app(f"redis://127.0.0.1:{refusing}/1"):
        page.send("start", job="flash")
    assert page.settle() == ["job: refused"]


def test_a_click_after_the_broker_was_killed_fails_in_time_and_works_when_it_is_back(
    site: None, settings: Any, tmp_path: Path
) -> None:
    page, queue = Page(Desk), settings.HTMX_LIVE["CELERY_QUEUE"]
    with RedisServer(tmp_path) as broker, celery_app(broker_of(broker)):
        page.send("start", job="flash", name="before")
        broker.kill()
        began = time.monotonic()
        page.send("start", job="flash", name="without")
        assert time.monotonic() - began < 2.0
        wait_for(lambda: page.ended == ["without: refused"])
        broker.start()
        page.send("start", job="flash", name="after")
        with Redis.from_url(broker_of(broker)) as client:
            assert ([row.name for row in page.rows], client.llen(queue)) == (["before", "after"], 1)


@pytest.mark.parametrize("count", [1, 20])
def test_a_broker_that_says_nothing_keeps_nobody_waiting_for_two_seconds(
    redis_server: RedisServer, black_hole: int, count: int
) -> None:
    environment = worker_environment(live_settings(redis_server), f"redis://127.0.0.1:{black_hole}/1")
    command = [sys.executable, "-m", "tests.jobs.celery.sender", str(count)]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    refused, longest = json.loads(told.stdout)
    assert refused == count
    assert longest < 2.0


def test_a_store_that_is_frozen_for_a_while_costs_no_job_its_end(own_redis: RedisServer, hire: Any, bell: Bell) -> None:
    hire("threads", redis=own_redis)
    page = Page(Desk)
    page.send("start", job="work", path=bell.path, retries=2)
    bell.wait()
    own_redis.freeze()
    bell.go()  # it finishes, and cannot say so
    with pytest.raises(StoreUnavailable):
        page.send("stop")
    time.sleep(3.0)
    own_redis.thaw()
    assert wait_for(lambda: answers(lambda: page.rows == () and page.ended)) == ["job: 42"]
    assert len(bell.begun) == 1


def answers(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except StoreUnavailable:
        return None


def test_what_was_saved_and_not_sent_is_sent_when_the_bus_is_back(site: None, monkeypatch: Any) -> None:
    page = Page(Desk)
    sent: list[str] = []
    publish = services().bus.publish

    def away(*args: Any, **kwargs: Any) -> int:
        raise StoreUnavailable("The bus is away.")

    def listen(channels: Any, target: str, data: str, **kwargs: Any) -> int:
        sent.append(data)
        return publish(channels, target, data, **kwargs)

    with override_services(runner=Silent()), monkeypatch.context() as patch:
        patch.setattr(services().bus, "publish", away)
        page.send("start", job="flash")  # the click is answered
        patch.setattr(services().bus, "publish", listen)
        wait_for(lambda: sent)
    assert f'data-live-rev="{page.record.rev}"' in sent[-1] and 'data-live-pending="start:job"' in sent[-1]


class Silent:
    """A runner whose jobs never begin."""

    def submit(self, job: Job) -> None: ...

    def cancel(self, ref: str) -> None: ...
