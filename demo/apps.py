"""The frame of the demo: start page, login, looks."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "demo"
    verbose_name = "htmx_live demo"
