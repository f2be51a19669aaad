"""Settings of the server with regions."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.browser.regions_site"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
