"""The Django app ``htmx_live.contrib.task_history``: its model follows all progress of this process."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["TasksConfig"]


class TasksConfig(AppConfig):
    name = "htmx_live.contrib.task_history"
    label = "htmx_live_tasks"
    verbose_name = _("Background tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here because they need the app registry.
        from htmx_live.contrib.task_history.recorder import mark_dirty
        from htmx_live.progress.publisher import connect_progress_changed

        connect_progress_changed(mark_dirty)
