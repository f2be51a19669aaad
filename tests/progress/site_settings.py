"""Settings of the server with progress."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.progress.site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
