"""The demo as an ASGI application: Django, with the streams taken out of its hands."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

application = live_asgi(ASGIStaticFilesHandler(get_asgi_application()))
