"""The Django app ``htmx_live.tasks_db``: its model follows all progress of this process."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["TasksConfig"]


class TasksConfig(AppConfig):
    name = "htmx_live.tasks_db"
    label = "htmx_live_tasks"
    verbose_name = _("Background tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here because they need the app registry.
        from htmx_live.progress.followers import follow
        from htmx_live.tasks_db.writing import note

        follow(note)
