"""A process that runs its jobs on its own threads: ``python -m tests.jobs.celery.lone_server JOB PATH RETRIES``.

It starts one, prints its instance, and works until it is killed or, as servers do, ends when it is asked to.
"""

import signal
import sys
import time

import django

django.setup()

from tests.jobs.celery.cluster import Page  # noqa: E402
from tests.jobs.celery.views import Desk  # noqa: E402

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
job, path, retries = sys.argv[1:]
page = Page(Desk)
page.send("start", job=job, path=path, retries=int(retries))
print(page.instance, flush=True)
time.sleep(600)
