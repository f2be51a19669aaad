"""Settings of the real server, on the PostgreSQL that the test started; CONNECTION_AGE is CONN_MAX_AGE in seconds."""

import os

from tests.layouts.server_settings import *  # noqa: F403

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
