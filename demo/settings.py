"""Settings of the demo, a small shop's back office on this machine.  Not an example for production."""

import os
from pathlib import Path

# Not the repository's root: django-components would import its `components/` a second time.
BASE_DIR = Path(__file__).resolve().parent

SECRET_KEY = "a demo on one machine keeps no secrets"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "demo.urls"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "reports"
STATIC_URL = "/static/"
# The gallery shows the components beside frameworks, whose style sheets a folder holds.
STATICFILES_DIRS = [*filter(None, [os.environ.get("DEMO_STYLES")])]
LANGUAGE_CODE = "en"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", BASE_DIR / "db.sqlite3"),
        # A job writes while somebody reads: readers go on, and a second writer waits for its turn.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
    }
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_components",
    "django_eventstream",
    # Before htmx_live: they show a panel, and a session of progress, without JavaScript in the demo's own frame.
    "demo.overview",
    "demo.imports",
    "htmx_live",
    "htmx_live.contrib.task_history",
    "demo",
    "demo.shop",
    "demo.reports",
    "demo.orders",
    "demo.notes",
    "demo.dashboard",
    "demo.gallery",
    "demo.inbox",
]

MIDDLEWARE = [
    "demo.middleware.strict_csp",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "htmx_live.middleware.LiveMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The demo's orders are few and computers are fast: background jobs rest this many seconds after each
# chunk of real work, so that there is something to see.  0 shows how fast they are.
DEMO_PACE = float(os.environ.get("DEMO_PACE", "0.35"))

# One panel of the overview fails, and is to show what a visitor sees then, though DEBUG is on.
HTMX_LIVE = {
    "LAYOUTS": {"DEBUG_ERRORS": False},
    "MAX_UPLOAD_SIZE": 50 * 1024 * 1024,  # bytes: about 700,000 orders in one file
}

# `make demo-cluster` says where its Redis is: the same demo on many processes.
if REDIS := os.environ.get("DEMO_REDIS"):
    HTMX_LIVE |= {"REDIS_URL": f"{REDIS}/0", "RUNNER": "celery"}
    CELERY_BROKER_URL = f"{REDIS}/1"
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
    CELERY_TASK_IGNORE_RESULT = True
