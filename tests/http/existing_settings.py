"""Settings of a project that has event streams of its own, before and after it adds htmx_live."""

import json
import os
from pathlib import Path

CHOSEN = json.loads(os.environ.get("EXISTING", "{}"))

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "only-for-tests-and-long-enough-to-sign-with"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.http.existing"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "/static/"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("EXISTING_DATABASE", ":memory:"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_eventstream",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR.parent / "templates"],
        "APP_DIRS": True,
    }
]

LOGGING = {"version": 1, "handlers": {"all": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["all"]}}

if CHOSEN.get("adds_live"):
    INSTALLED_APPS += ["django_htmx", "django_components", "htmx_live"]
    MIDDLEWARE += ["django_htmx.middleware.HtmxMiddleware", "htmx_live.middleware.LiveMiddleware"]

globals().update(CHOSEN.get("settings", {}))
