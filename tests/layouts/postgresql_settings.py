"""Settings of the real server, on the PostgreSQL that the test started; ages are seconds."""

import os

from tests.layouts.server_settings import *  # noqa: F403

ROOT_URLCONF = "tests.layouts.postgresql_site"
HTMX_LIVE = {"LAYOUTS": {"DEBUG_ERRORS": False, "PANEL_THREADS": int(os.environ["PANEL_THREADS"])}}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "tests",
        "HOST": os.environ["POSTGRESQL_FOLDER"],  # of its socket: it listens nowhere else
        "CONN_MAX_AGE": int(os.environ["CONNECTION_AGE"]),
        "OPTIONS": {"application_name": "layouts"},
    }
}
