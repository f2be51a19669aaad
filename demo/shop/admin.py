"""The shop in Django's admin: the orders, with an action that takes its time."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from demo.reports.numbers import CHUNK, pace
from htmx_live.contrib.admin import LiveActionsMixin, live_action

from .models import Export, Order


@admin.register(Order)
class OrderAdmin(LiveActionsMixin, admin.ModelAdmin):
    list_display = ["number", "customer", "placed_at", "status", "total"]
    list_filter = ["status"]
    list_select_related = ["customer"]
    search_fields = ["number", "customer__name"]
    actions = ["export"]

    @live_action(description="Export selected %(verbose_name_plural)s", permissions=["view"])
    def export(self, request: HttpRequest, queryset: Any, task: Any) -> str:
        lines = ["number,customer,total"]
        for order in task.track(queryset.select_related("customer"), unit="orders"):
            lines.append(f"{order.number},{order.customer.email},{order.total}")
            if len(lines) % CHUNK == 0:
                pace()
        pace()
        export = Export.objects.create(owner=request.user, name="orders.csv", content="\n".join(lines) + "\n")
        return reverse("download", args=[export.pk])
