"""The stranger's app."""

from django.apps import AppConfig


class CounterConfig(AppConfig):
    name = "counter"
