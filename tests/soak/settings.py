"""Settings of the soak's processes: the test run's, with short lifetimes and files of its own."""

import json
import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.soak.site"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 3600
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["SOAK_DATABASE"],
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    }
}

# Everything expires within a run: what is left after a rest is kept by mistake.
HTMX_LIVE = {
    "STATE_TTL": 20,
    "HIDDEN_TTL": 20,
    "GRANT_MAX_AGE": 60,  # longer than any visit may take
    "REPLAY_TTL": 20.0,
    "PROGRESS_TTL": 20,
    "NOTICE_TTL": 30,
    "HEARTBEAT": 3.0,
    "STREAM_LIFETIME": 15.0,
    **json.loads(os.environ["SOAK_LIVE"]),
}

CELERY_BROKER_URL = os.environ.get("SOAK_BROKER", "")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
