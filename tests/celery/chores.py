"""A task of the project's own, as any Django project has them."""

from celery import shared_task

from htmx_live import push_to_view

__all__ = ["refresh_metrics"]


@shared_task
def refresh_metrics(count: int) -> None:
    push_to_view("tests.celery.views.Metrics", state={"pending_orders": count})
