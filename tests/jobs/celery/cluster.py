"""A site of several processes: this one serves, and workers do its jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import current_app
from django.test import RequestFactory

from htmx_live.core.conf import settings
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.core.signing import random_id
from htmx_live.jobs.runner import Job, serialize_job
from htmx_live.jobs.runners.celery import TASK_NAME
from htmx_live.runtime.dispatch import dispatch, process_mailbox
from htmx_live.runtime.inbox_messages import UserEvent
from htmx_live.runtime.mounting import Visit, mount
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode_state
from htmx_live.views.live_view import LiveView

__all__ = ["PATIENCE", "ROOT", "Page", "Worker", "running", "send_message", "wait_for", "worker_environment"]

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PATIENCE = 30.0  # seconds until what does not come fails a test


def wait_for(what: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """The first answer of ``what()`` that is true."""
    give_up = time.monotonic() + within
    while not (answer := what()):
        assert time.monotonic() < give_up, f"It did not come within {within:g} s."
        time.sleep(0.02)
    return answer


def worker_environment(live: dict[str, Any], broker: str) -> dict[str, str]:
    """For a process of this site; see ``settings``."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.jobs.celery.settings",
        "TEST_HTMX_LIVE": json.dumps(live),
        "TEST_BROKER": broker,
        "PYTHONWARNINGS": "ignore",
    }


@dataclass
class Worker:
    """A Celery worker in a process of its own; ``prefork`` has two children."""

    broker: str
    live: dict[str, Any]
    pool: str
    log: Path
    concurrency: int = 2
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def queue(self) -> str:
        return str(self.live["CELERY_QUEUE"])

    def start(self) -> "Worker":
        name = f"{self.queue}-{random_id()[:6]}@localhost"
        options = ["--pool", self.pool, "--concurrency", str(self.concurrency), "-Q", self.queue, "-n", name]
        quick = ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        environment = worker_environment(self.live, self.broker)
        command = [sys.executable, "-m", "celery", "-A", "tests.jobs.celery.app", "worker", *options, *quick]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: " ready." in self.text)
        return self

    @property
    def text(self) -> str:
        assert self.process is None or self.process.poll() is None or " ready." in self.log.read_text(), (
            self.log.read_text()
        )
        return self.log.read_text()

    def stop(self) -> None:
        """SIGTERM: what runs is finished."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, of the children too."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


def send_message(job: Job) -> None:
    """Send one more copy of a job's message."""
    current_app.send_task(
        TASK_NAME, kwargs={"job": serialize_job(job)}, queue=settings().CELERY_QUEUE, ignore_result=True
    )


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    try:
        yield worker.start()
    finally:
        assert worker.process is not None
        if worker.process.poll() is None:
            worker.kill()


class Page:
    """An instance of ``view`` and what its user does; everything is read from the store."""

    def __init__(self, view: type[LiveView], *, instance: str = "", **kwargs: Any) -> None:
        """With ``instance`` one that another process has mounted."""
        self.view, self.request = view, RequestFactory().get("/")
        self.id, self.instance = random_id(), instance
        if instance:
            return
        visit = Visit(request=self.request, page=self.id, get_owners=lambda create: [Owner(token="t", user="")])
        self.instance = mount(view, visit, kwargs=kwargs).result.record.instance
        services().store.touch_page(self.id, present_for=600, retain_for=600)

    def send(self, handler: str, **arguments: Any) -> None:
        call = UserEvent(handler=self.view.handlers[handler], arguments=arguments, request=self.request, page=self.id)
        dispatch(self.instance, call)

    @property
    def record(self) -> Record:
        loaded = services().store.load(self.instance)
        assert loaded is not None
        return loaded.record

    @property
    def rows(self) -> tuple[JobRow, ...]:
        return self.record.jobs

    @property
    def state(self) -> dict[str, Any]:
        return decode_state(self.record.state)

    @property
    def ended(self) -> list[str]:
        ended: list[str] = self.state["ended"]
        return ended

    @property
    def stages(self) -> list[str]:
        return [row.stage for row in self.rows]

    def settle(self) -> list[str]:
        """Wait until no job runs; how they ended."""
        wait_for(lambda: not self.rows)
        process_mailbox(self.instance, wait=5)
        return self.ended
