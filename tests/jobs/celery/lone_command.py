"""A process that pushes and ends, as a management command does: ``python -m tests.jobs.celery.lone_command COUNT``."""

import sys

import django

django.setup()

from htmx_live import push_to_view  # noqa: E402

push_to_view("tests.jobs.celery.views.Metrics", state={"pending_orders": int(sys.argv[1])})
