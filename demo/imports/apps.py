"""Import: a long piece of work that its user can follow, cancel and start again."""

from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "demo.imports"
