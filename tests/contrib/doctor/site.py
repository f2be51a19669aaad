"""The site that the doctor looks at: the library's own URLs, with settings that a test puts into the environment."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.jobs.celery.settings")

from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

plain = get_asgi_application()
application = live_asgi(plain)
