"""The shop's figures, computed chunk by chunk from its orders.

Each generator yields when a chunk of real work is done.  ``pace()`` then rests for ``DEMO_PACE`` seconds: the demo's
orders are few, and without it there would be nothing to see.  A real shop's reports need no such help.
"""

import calendar
import csv
import io
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Max, Sum

from demo.shop.models import Order, OrderLine, Product

CHUNK = 200  # orders


def pace() -> None:
    time.sleep(settings.DEMO_PACE)


def years() -> list[int]:
    return [moment.year for moment in Order.objects.datetimes("placed_at", "year")]


def months_of(year: int) -> Iterator[dict[str, Any]]:
    """One row per month that has orders: revenue, number of orders, best seller."""
    for month in range(1, 13):
        orders = Order.objects.filter(placed_at__year=year, placed_at__month=month).exclude(status="cancelled")
        revenue, sold, count = Decimal(0), Counter(), 0
        for order in orders.prefetch_related("lines__product"):
            count += 1
            for line in order.lines.all():
                revenue += line.amount
                sold[line.product.name] += line.quantity
        if count:
            best = sold.most_common(1)[0][0].partition(",")[0]  # without the size of the pack
            yield {"name": calendar.month_name[month], "orders": count, "revenue": revenue, "best": best}
            pace()


def revenue_of(year: int) -> Decimal:
    orders = Order.objects.filter(placed_at__year=year).exclude(status="cancelled")
    return orders.aggregate(sum=Sum("total"))["sum"] or Decimal(0)


def csv_of_orders() -> Iterator[tuple[int, str]]:
    """Every order as CSV, in chunks: how many orders the chunk holds, and its lines."""
    yield 0, _csv([["number", "date", "customer", "city", "status", "total"]])
    orders = Order.objects.order_by("placed_at").select_related("customer")
    rows = []
    for order in orders.iterator(chunk_size=CHUNK):
        customer = order.customer
        rows.append([order.number, order.placed_at.date(), customer, customer.city, order.status, order.total])
        if len(rows) == CHUNK:
            yield len(rows), _csv(rows)
            rows = []
            pace()
    yield len(rows), _csv(rows)


def stock_lines() -> Iterator[str]:
    """A line of text per product: how long what is in stock will last."""
    newest = Order.objects.aggregate(newest=Max("placed_at"))["newest"]
    recent = OrderLine.objects.filter(order__placed_at__gt=newest - timedelta(days=90))
    for product in Product.objects.all():
        sold = sum(line.quantity for line in recent.filter(product=product))
        days = product.stock * 90 // sold if sold else 999
        advice = "reorder now" if days < 30 else "reorder soon" if days < 60 else "enough"
        yield f"{product.name}: {product.stock} left, {sold} sold in 90 days, lasts {days} days: {advice}"
        pace()


def wrong_totals() -> Iterator[tuple[int, int]]:
    """Add up every order's lines again: orders checked so far, and how many totals were wrong."""
    checked = wrong = 0
    for order in Order.objects.prefetch_related("lines").iterator(chunk_size=CHUNK):
        checked += 1
        wrong += order.total != sum((line.amount for line in order.lines.all()), Decimal(0))
        if checked % CHUNK == 0:
            yield checked, wrong
            pace()
    yield checked, wrong


def _csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
