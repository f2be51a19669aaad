"""A task of the project's own, as any Django project has them."""

import time
from pathlib import Path
from typing import Any

from celery import shared_task

from htmx_live import push_to_view
from htmx_live.progress import ProgressSession
from tests.jobs.celery.views import begin

__all__ = ["rebuild", "refresh_metrics"]


@shared_task
def refresh_metrics(count: int) -> None:
    push_to_view("tests.jobs.celery.views.Metrics", state={"pending_orders": count})


@shared_task(bind=True, max_retries=1)
def rebuild(self: Any, session_id: str, path: str, ending: str) -> None:
    """Works on a session without a block around it, until the file's twin is there; then it ends as it is told."""
    session = ProgressSession.get(session_id)
    assert session is not None
    session.update("rebuild", current=1, total=4)
    begin(path)
    while not Path(f"{path}.go").exists():
        time.sleep(0.01)
    if ending == "retry" and not self.request.retries:
        raise self.retry(countdown=0)
    if ending == "fail":
        raise ValueError("secret")
    session.complete("rebuild")
