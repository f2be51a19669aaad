"""Settings of the server that browsers open: the test run's, with sessions that need no database."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.views.forms.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
