"""A cluster's web application."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi
from tests.jobs.celery.app import app

__all__ = ["app", "application"]

application = live_asgi(ASGIStaticFilesHandler(get_asgi_application()))
