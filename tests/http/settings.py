"""Settings of the servers that the transport's tests start: streams, and nothing of a view."""

import json
import os

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.http.app"
INSTALLED_APPS = ["django_eventstream"]
USE_TZ = True
HTMX_LIVE = json.loads(os.environ.get("TRANSPORT_SETTINGS", "{}"))
