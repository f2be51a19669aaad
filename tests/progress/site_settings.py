"""Settings of the server with progress."""

import json
import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.progress.site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
HTMX_LIVE = json.loads(os.environ.get("PROGRESS_LIVE", "{}"))
