"""Parts on a real Redis, and workers of each pool that all tests share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, _state

from htmx_live.backends import override_bus
from htmx_live.backends.redis.bus import RedisBus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.core.concurrency import DaemonPool
from htmx_live.core.scheduler import NoTicker, ThreadTimer
from htmx_live.core.signing import random_id
from htmx_live.jobs.runners.celery import CeleryRunner
from htmx_live.jobs.watchdog import DeadlineMonitor
from htmx_live.runtime.services import override_services
from tests.jobs.celery.cluster import Worker, running, wait_for
from tests.redis_server import RedisServer

PREFIX = "celery-tests:"
LEASE = 1.5  # seconds, in the place of ten


def live_settings(redis: RedisServer, **changed: Any) -> dict[str, Any]:
    return {
        "REDIS_URL": redis.url,
        "REDIS_PREFIX": PREFIX,
        "RUNNER": "celery",
        "CELERY_QUEUE": f"queue-{random_id()[:8]}",
        "JOB_LEASE": LEASE,
        "WORKER_WAIT": 3.0,
        **changed,
    }


def broker_of(redis: RedisServer) -> str:
    return f"redis://127.0.0.1:{redis.port}/1"


@pytest.fixture(scope="session")
def pools(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Worker]]:
    """The worker of a pool, started when first asked for; ``changed`` are settings of both sides that differ."""
    started: dict[str, Worker] = {}

    def pool(name: str, **changed: Any) -> Worker:
        key = f"{name} {changed}"
        if key not in started:
            log, live = tmp_path_factory.mktemp("worker") / f"{name}.log", live_settings(redis_server, **changed)
            started[key] = Worker(broker=broker_of(redis_server), live=live, pool=name, log=log).start()
        return started[key]

    yield pool
    for worker in started.values():
        worker.kill()


@pytest.fixture
def site(redis_server: RedisServer, settings: Any) -> Iterator[None]:
    """This process as one that serves."""
    settings.HTMX_LIVE = live_settings(redis_server)
    with serving(redis_server):
        yield


@contextmanager
def serving(redis: RedisServer) -> Iterator[None]:
    connection = RedisConnection(redis.url, prefix=PREFIX)
    store, bus = RedisStore(connection), RedisBus(connection)
    watcher = DeadlineMonitor(lambda: store)
    chosen = override_services(
        store=store,
        bus=bus,
        runner=CeleryRunner,
        turn_pool=DaemonPool("turns", lambda: 4),
        ticker=NoTicker(),
        timer=ThreadTimer(),
        deadline_monitor=watcher,
    )
    with celery_app(broker_of(redis)), override_bus(bus), chosen:
        yield
    watcher.stop()


@contextmanager
def celery_app(broker: str) -> Iterator[None]:
    """The project's app, of all threads, for a while; one that has been connected stays with its broker."""
    app = Celery("site", broker=broker, set_as_current=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_state, "default_app", app)
        patch.setattr(_state._tls, "current_app", app)
        yield
    app.close()


@pytest.fixture
def hire(redis_server: RedisServer, settings: Any, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start a worker of this test's own; ``live`` are settings of both sides that differ."""
    with ExitStack() as stack:

        def start(pool: str, *, redis: RedisServer = redis_server, **live: Any) -> Worker:
            settings.HTMX_LIVE = {**settings.HTMX_LIVE, **live}
            log = tmp_path / f"worker-{random_id()[:6]}.log"
            worker = Worker(broker=broker_of(redis), live=dict(settings.HTMX_LIVE), pool=pool, log=log)
            return stack.enter_context(running(worker))

        yield start


@pytest.fixture(params=["prefork", "threads", "solo"])
def worker(request: pytest.FixtureRequest, site: None, pools: Callable[..., Worker], settings: Any) -> Worker:
    """The shared worker of each pool; this test's jobs go there."""
    return use(pools(request.param), settings)


@pytest.fixture(params=["prefork", "threads", "solo"])
def limited(request: pytest.FixtureRequest, site: None, pools: Callable[..., Worker], settings: Any) -> Worker:
    """Another one, whose jobs may take two seconds."""
    return use(pools(request.param, JOB_TIME_LIMIT=2.0), settings)


def use(worker: Worker, settings: Any) -> Worker:
    settings.HTMX_LIVE = worker.live
    return worker


class Bell:
    """A file in which a job says that it has begun; two others are its way to be let go, and to say it was told."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    @property
    def begun(self) -> list[int]:
        """The processes in which the job has begun, one for each time."""
        return _lines(self.path)

    @property
    def told(self) -> list[int]:
        return _lines(f"{self.path}.told")

    @property
    def raised(self) -> str:
        path = Path(f"{self.path}.raised")
        return path.read_text() if path.exists() else ""

    def wait(self, count: int = 1) -> int:
        """The process in which the job has begun for the ``count``-th time."""
        return int(wait_for(lambda: self.begun[count - 1 :])[0])

    def go(self) -> None:
        Path(f"{self.path}.go").touch()


def _lines(path: str) -> list[int]:
    return [int(line) for line in Path(path).read_text().split()] if Path(path).exists() else []


@pytest.fixture
def bell(tmp_path: Path) -> Bell:
    return Bell(tmp_path / "bell")
