"""The inbox: what runs for you, what became of it, and a plain Celery task."""

from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "demo.inbox"
