"""A cluster: Redis, web processes behind a proxy that balances and misbehaves, and a Celery worker.

Everything is a process of its own on 127.0.0.1, and every cluster has its own of everything.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.faults.proxy import FaultProxy
from tests.redis_server import RedisServer
from tests.server import ROOT, Server

__all__ = ["HEARTBEAT", "LEASE", "PREFIX", "Cluster", "Worker", "cluster", "clusters"]

HEARTBEAT = 1.0  # seconds, in the place of fifteen
LEASE = 2.0  # seconds that a job's process may be silent, in the place of ten
PATIENCE = 40.0  # seconds that a worker may take to begin
PREFIX = "faults:"


class Worker:
    """One Celery worker on threads.  It is a context manager."""

    def __init__(self, log: Path, env: Mapping[str, str]) -> None:
        self.log, self.env = log, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Worker":
        options = ["--pool", "threads", "--concurrency", "4", "--loglevel", "INFO", "-n", f"{self.log.stem}@localhost"]
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tests.jobs.celery.app",
            "worker",
            "-I",
            "tests.faults.chores",
            *options,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--without-gossip", "--without-mingle"],
                cwd=ROOT,
                env={**os.environ, **self.env, "PYTHONWARNINGS": "ignore"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up = time.monotonic() + PATIENCE
        while " ready." not in self.log.read_text():
            assert self._process.poll() is None and time.monotonic() < give_up, self.log.read_text()[-3000:]
            time.sleep(0.05)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)


class Cluster:
    """What runs; ``port`` is the proxy's.  ``clocks`` are wrong by so many seconds, ``live`` settings that differ."""

    def __init__(
        self, folder: Path, *, webs: int = 2, durable: bool = False, clocks: Sequence[int] = (), **live: Any
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.redis = RedisServer(folder, durable=durable)
        chosen = {"REDIS_URL": self.redis.url, "REDIS_PREFIX": PREFIX, "RUNNER": "celery", "HEARTBEAT": HEARTBEAT}
        self.env = {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_LIVE": json.dumps({**chosen, "POLL_INTERVAL": 0.5, "JOB_LEASE": LEASE, **live}),
            "FAULTS_BROKER": f"redis://127.0.0.1:{self.redis.port}/1",
            "FAULTS_DATABASE": str(folder / "db.sqlite3"),
        }
        self.webs = [self.web(number) for number in range(webs)]
        for web, wrong in zip(self.webs, clocks, strict=False):
            web.env["FAULTS_CLOCK"] = str(wrong)
        self.worker = Worker(folder / "worker.log", self.env)
        self.proxy = FaultProxy(*(web.port for web in self.webs))

    def web(self, number: int, *, port: int | None = None, **env: str) -> Server:
        log = self.folder / f"web-{number}.log"
        return Server("tests.faults.asgi:application", log=log, env={**self.env, **env}, port=port)

    @property
    def port(self) -> int:
        return self.proxy.port

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def begun(self, name: str) -> int:
        """How often the job with this file has begun."""
        path = self.folder / name
        return len(path.read_text().split()) if path.exists() else 0


@contextmanager
def cluster(folder: Path, *, worker: bool = True, **options: Any) -> Iterator[Cluster]:
    with clusters(Cluster(folder, **options), workers=worker) as [running]:
        yield running


@contextmanager
def clusters(*chosen: Cluster, workers: bool = True) -> Iterator[tuple[Cluster, ...]]:
    """All of them, started at the same time."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        for one in chosen:
            stack.enter_context(one.redis)
        parts: list[Any] = [part for one in chosen for part in (*one.webs, *([one.worker] if workers else []))]
        for started in [pool.submit(stack.enter_context, part) for part in parts]:
            started.result()
        for one in chosen:
            stack.enter_context(one.proxy)
        yield chosen
