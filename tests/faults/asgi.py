"""A cluster's web application.  Its clock is wrong by ``FAULTS_CLOCK`` seconds."""

import os
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.utils import timezone

from htmx_live.asgi import live_asgi
from tests.celery.app import app

__all__ = ["app", "application"]

if wrong := float(os.environ.get("FAULTS_CLOCK", "0")):
    right, now = time.time, timezone.now
    time.time = lambda: right() + wrong
    timezone.now = lambda: now() + timezone.timedelta(seconds=wrong)

application = live_asgi(ASGIStaticFilesHandler(get_asgi_application()))
