"""Tasks of the project's own, in a cluster's worker."""

from celery import shared_task

from htmx_live import push_to_view

__all__ = ["push_number"]


@shared_task
def push_number(view: str, number: int) -> None:
    push_to_view(view, state={"last": number})
