"""Settings of the server that browsers open: the test run's, with files in a folder of the test and small limits."""

import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.runtime.uploads.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MEDIA_ROOT = os.environ["UPLOADS_MEDIA"]
FILE_UPLOAD_TEMP_DIR = os.environ["UPLOADS_TEMPORARY"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
HTMX_LIVE = {"MAX_UPLOAD_SIZE": 100_000, "MAX_UPLOADS": 3}
