"""The frame of the demo: start page, login, looks."""

from django.apps import AppConfig
from django.conf import settings


class DemoConfig(AppConfig):
    name = "demo"
    verbose_name = "htmx_live demo"

    def ready(self) -> None:
        if hasattr(settings, "CELERY_BROKER_URL"):
            from demo import celery  # noqa: F401  Celery is installed for the cluster only
