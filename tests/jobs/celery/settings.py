"""Settings of the workers that tests start: those of the test run, with what the test says in the environment."""

import json
import os

from tests.settings import *  # noqa: F403

SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
HTMX_LIVE = json.loads(os.environ["TEST_HTMX_LIVE"])
CELERY_BROKER_URL = os.environ["TEST_BROKER"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
