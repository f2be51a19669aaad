"""The admin's list of tasks: what everybody's background work came to.  Records are read there, and deleted."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from htmx_live.contrib.task_history.models import TaskRecord
from htmx_live.contrib.task_history.recorder import reconcile
from htmx_live.progress.cards import format_duration

__all__ = ["TaskRecordAdmin"]


if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[TaskRecord]
else:
    _Admin = admin.ModelAdmin


@admin.register(TaskRecord)
class TaskRecordAdmin(_Admin):
    list_display = ("name", "owner", "status", "percent_done", "created", "finished", "took", "result", "error_id")
    list_filter = ("status", "created", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("name", "message", "error_id", "session", "key")
    date_hierarchy = "created"
    fields = (
        ("name", "status", "percent_done"), "message", ("owner", "key"), "result", "error_id",
        ("created", "started", "finished", "took"), "session",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: TaskRecord | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        reconcile()
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("percent"), ordering="percent")
    def percent_done(self, record: TaskRecord) -> str:
        return f"{record.percent} %"

    @admin.display(description=_("took"))
    def took(self, record: TaskRecord) -> str:
        if record.started is None or record.finished is None:
            return ""
        return format_duration((record.finished - record.started).total_seconds())

    @admin.display(description=_("result"))
    def result(self, record: TaskRecord) -> str:
        if not record.result_url:
            return ""
        return format_html('<a href="{}">{}</a>', record.result_url, _("Show the result"))
