"""A process that serves and runs its jobs on its own threads: prints an instance, and works until it is killed."""

import sys
import time

import django

django.setup()

from .cluster import Page  # noqa: E402
from .views import Desk  # noqa: E402

page = Page(Desk)
page.send("start", job="hang", path=sys.argv[1], retries=int(sys.argv[2]))
print(page.instance, flush=True)
time.sleep(600)
