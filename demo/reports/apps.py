"""The reports page: slow work that a page does not wait for."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "demo.reports"
