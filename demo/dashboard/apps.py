"""The dashboard: what happens in the shop, for everybody who looks."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "demo.dashboard"

    def ready(self) -> None:
        from . import signals  # noqa: F401  models are there from now on
