"""Settings of the real server that serves ``tests.layouts.site`` to a real browser, under a strict CSP."""

import os

from tests.layouts.site_templates import BENCHMARK
from tests.layouts.site_templates import TEMPLATES as SITE
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, MIDDLEWARE, TEMPLATES

ROOT_URLCONF = os.environ.get("LAYOUTS_URLCONF", "tests.layouts.site")
DEBUG = False
HTMX_LIVE = {"LAYOUTS": {"DEBUG_ERRORS": False, "SERVER_TIMING": True}}

DATABASES["default"]["NAME"] = os.environ["LAYOUTS_DATABASE"]
MIDDLEWARE = ["tests.layouts.asgi.StrictPolicy", *MIDDLEWARE]

TEMPLATES[0]["APP_DIRS"] = False
TEMPLATES[0]["OPTIONS"]["loaders"] = [
    (
        "django.template.loaders.cached.Loader",
        [
            ("django.template.loaders.locmem.Loader", {**SITE, **BENCHMARK}),
            "django.template.loaders.app_directories.Loader",
        ],
    )
]
