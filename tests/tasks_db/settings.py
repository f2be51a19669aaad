"""Settings with the durable tasks and the admin; a server under them uses the database that it is told."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE, TEMPLATES

INSTALLED_APPS = [app for app in INSTALLED_APPS if "QuietTasks" not in app] + ["htmx_live.tasks_db"]
TEMPLATES = [{**TEMPLATES[0], "DIRS": []}]
MIDDLEWARE = ["tests.tasks_db.site.policy", *MIDDLEWARE]
ROOT_URLCONF = "tests.tasks_db.site"
CSRF_TRUSTED_ORIGINS = ["http://127.0.0.1"]

if "TASKS_DATABASE" in os.environ:
    DATABASES = {"default": {**DATABASES["default"], "NAME": os.environ["TASKS_DATABASE"]}}
    DATABASES["default"]["OPTIONS"] = {**DATABASES["default"]["OPTIONS"], "timeout": 2}
