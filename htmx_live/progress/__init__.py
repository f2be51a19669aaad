"""Progress: long work that is followed by whoever may see it, from any process, with or without live views."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htmx_live.progress.model import ProgressStatus
    from htmx_live.progress.session import ProgressSession, track
    from htmx_live.progress.tasks import ParallelTask, SequentialTask, current_task
    from htmx_live.progress.views import accepted

__all__ = ["ParallelTask", "ProgressSession", "ProgressStatus", "SequentialTask", "accepted", "current_task", "track"]


_HOMES = {
    "ParallelTask": "tasks",
    "ProgressSession": "session",
    "ProgressStatus": "model",
    "SequentialTask": "tasks",
    "accepted": "views",
    "current_task": "tasks",
    "track": "session",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: some of their modules need the app registry."""
    if name not in _HOMES:
        raise AttributeError(f"htmx_live.progress has no attribute {name!r}. It offers: {', '.join(__all__)}.")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"htmx_live.progress.{_HOMES[name]}"), name)
    return value
