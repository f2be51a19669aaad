"""The overview page: panels that are slow, far away or broken, put together in four ways."""

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    name = "demo.overview"
