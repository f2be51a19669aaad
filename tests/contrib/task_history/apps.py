"""The app of durable tasks for the test run: it follows progress only where a test asks for it."""

from htmx_live.contrib.task_history.apps import TasksConfig

__all__ = ["QuietTasksConfig"]


class QuietTasksConfig(TasksConfig):
    def ready(self) -> None:
        """What the tests of other parts do is not written to the database."""
