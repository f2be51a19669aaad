"""Settings of a cluster's processes: the test run's, with what the test says in the environment.

The clock of a process with ``FAULTS_CLOCK`` is wrong by so many seconds.
"""

import json
import os
import time
from datetime import timedelta

from django.utils import timezone

from tests.settings import *  # noqa: F403

DEBUG = "FAULTS_DEBUG" in os.environ
ROOT_URLCONF = os.environ.get("FAULTS_URLS", "tests.faults.site")
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
HTMX_LIVE = json.loads(os.environ["FAULTS_LIVE"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["FAULTS_DATABASE"],
        "ATOMIC_REQUESTS": True,
        "OPTIONS": {"timeout": 20},
    }
}
CELERY_BROKER_URL = os.environ["FAULTS_BROKER"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING = {  # what a project's log has: the package's warnings, and Django's own of each answer
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}

if wrong := float(os.environ.get("FAULTS_CLOCK", "0")):
    right, now = time.time, timezone.now
    time.time = lambda: right() + wrong
    timezone.now = lambda: now() + timedelta(seconds=wrong)
