"""The application of the server that browsers open."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.runtime.uploads.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

application = live_asgi(ASGIStaticFilesHandler(get_asgi_application()))
