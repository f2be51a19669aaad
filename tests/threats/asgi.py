"""The application of the servers that these tests start."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.threats.settings")

from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

plain = get_asgi_application()
application = live_asgi(plain)
