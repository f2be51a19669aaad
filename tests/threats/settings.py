"""Settings of the servers that these tests start: the test run's, with a database that processes share."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import BASE_DIR, TEMPLATES

ROOT_URLCONF = "tests.threats.urls"
TEMPLATES = [{**TEMPLATES[0], "DIRS": [BASE_DIR / "templates", BASE_DIR / "threats" / "templates"]}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("THREATS_DATABASE", ":memory:"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
HTMX_LIVE = json.loads(os.environ.get("THREATS_SETTINGS", "{}"))
SILENCED_SYSTEM_CHECKS = ["htmx_live.E009"]  # a test lets grants expire before they are used
