"""The Django app."""

from django.apps import AppConfig

__all__ = ["HtmxLiveConfig"]


class HtmxLiveConfig(AppConfig):
    name = "htmx_live"
    verbose_name = "htmx live"
