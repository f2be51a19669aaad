"""``manage.py purge_tasks``: deletes old records of tasks that have ended."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.contrib.task_history.recorder import reconcile

_BATCH = 500  # rows of one statement: nobody waits long for the table


class Command(BaseCommand):
    help = "Deletes records of tasks that ended longer ago than so many days. See docs/tasks.md."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--days", type=float, default=30.0, help="how long records are kept after their end (30)")
        parser.add_argument(
            "--failed-days", type=float, default=None, help="the same for what failed or was lost (as --days)"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say how many would go")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        failed_days = days if options["failed_days"] is None else options["failed_days"]
        for name, value in (("--days", days), ("--failed-days", failed_days)):
            if not 0 <= value <= 100_000:
                raise CommandError(f"{name}={value:g}: expected a number of days from 0 to 100000.")
        while reconcile():
            pass
        failed = [TaskRecord.Status.ERROR, TaskRecord.Status.LOST]
        records = TaskRecord.objects.order_by()
        old = [
            records.exclude(status__in=failed).filter(finished__lt=timezone.now() - timedelta(days=days)),
            records.filter(status__in=failed, finished__lt=timezone.now() - timedelta(days=failed_days)),
        ]
        if options["dry_run"]:
            self.stdout.write(f"{sum(query.count() for query in old)} tasks would be deleted.")
        else:
            self.stdout.write(f"{sum(map(_delete, old))} tasks were deleted.")


def _delete(query: Any) -> int:
    count = 0
    while pks := list(query.values_list("pk", flat=True)[:_BATCH]):
        count += TaskRecord.objects.filter(pk__in=pks).delete()[1].get("htmx_live_tasks.TaskRecord", 0)
    return count
