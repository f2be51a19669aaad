"""The shared note: one text, several writers."""

from django.apps import AppConfig


class NotesConfig(AppConfig):
    name = "demo.notes"
