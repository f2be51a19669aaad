"""Settings of the server on which async handlers are tested: every event is a transaction on a database of its own."""

import json
import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.runtime.async_site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(os.environ["ASYNC_FOLDER"], "db.sqlite3"),
        "ATOMIC_REQUESTS": True,
    }
}
HTMX_LIVE = json.loads(os.environ.get("ASYNC_SETTINGS", "{}"))
