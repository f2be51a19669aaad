"""The test run's settings on the benchmarks' own pages."""

from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import TEMPLATES

ROOT_URLCONF = "tests.benchmarks.site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"  # the same for both sides, and no database
TEMPLATES = [{**TEMPLATES[0], "DIRS": [Path(__file__).parent / "templates"]}]
