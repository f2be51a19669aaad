"""Submit jobs on many threads at once, in a process of its own; prints how many were refused and the longest wait."""

import json
import sys
import threading
import time

import django

django.setup()

from htmx_live.core.exceptions import RunnerUnavailable  # noqa: E402
from htmx_live.jobs.runner import Job  # noqa: E402
from htmx_live.jobs.runners.celery import CeleryRunner  # noqa: E402
from htmx_live.runtime.job_control import executor  # noqa: E402
from tests.jobs.celery import app  # noqa: E402, F401

runner = CeleryRunner(executor)
refused: list[float] = []


def submit(number: int) -> None:
    began = time.monotonic()
    try:
        runner.submit(Job(ref=str(number), instance="i", callback="method:work"))
    except RunnerUnavailable:
        refused.append(time.monotonic() - began)


threads = [threading.Thread(target=submit, args=(number,)) for number in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps([len(refused), max(refused, default=0)]), flush=True)
