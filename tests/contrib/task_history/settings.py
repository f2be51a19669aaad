"""Settings with the durable tasks and the admin; a server under them uses the database that it is told."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE, TEMPLATES

INSTALLED_APPS = [app for app in INSTALLED_APPS if "QuietTasks" not in app] + ["htmx_live.contrib.task_history"]
TEMPLATES = [{**TEMPLATES[0], "DIRS": []}]
MIDDLEWARE = ["tests.contrib.task_history.site.policy", *MIDDLEWARE]
ROOT_URLCONF = "tests.contrib.task_history.site"
CSRF_TRUSTED_ORIGINS = ["http://127.0.0.1"]

if "TASKS_DATABASE" in os.environ:
    DATABASES = {"default": {**DATABASES["default"], "NAME": os.environ["TASKS_DATABASE"]}}
    DATABASES["default"]["OPTIONS"] = {**DATABASES["default"]["OPTIONS"], "timeout": 2}
