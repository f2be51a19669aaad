"""Settings of the servers that the tests of pushes start: the test run's, without a database."""

import json
import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.messaging.push_site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
HTMX_LIVE = json.loads(os.environ.get("PUSH_SETTINGS", "{}"))
