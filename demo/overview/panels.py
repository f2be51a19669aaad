"""The panels of the overview: plain Django views, each with its own reason to be slow.

``numbers.pace()`` and the sleep of ``courier`` are the demo's: its orders are few, and there is no courier.
"""

import asyncio

from django.conf import settings
from django.db.models import F, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from demo.reports import numbers
from demo.shop.models import Order, OrderLine, Product
from htmx_live.layouts import panel_only

from .waterfall import timed


@timed
def revenue(request: HttpRequest) -> HttpResponse:
    years = []
    for year in numbers.years():
        years.append((year, numbers.revenue_of(year)))
        numbers.pace()
    highest = max((euros for _, euros in years), default=0)
    return render(request, "overview/revenue.html", {"years": years, "highest": highest})


@timed
def sellers(request: HttpRequest) -> HttpResponse:
    best = []
    for category in Product.objects.values_list("category", flat=True).order_by("category").distinct():
        sold = OrderLine.objects.exclude(order__status=Order.Status.CANCELLED).filter(product__category=category)
        euros_of = sold.values_list("product__name").annotate(euros=Sum(F("quantity") * F("unit_price")))
        best += [(category, name.partition(",")[0], euros) for name, euros in euros_of.order_by("-euros")[:1]]
        numbers.pace()
    return render(request, "overview/sellers.html", {"best": best})


@panel_only  # it has a URL, but it is no page
@timed
async def courier(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(3 * settings.DEMO_PACE)  # a courier's slow interface
    parcels = await Order.objects.filter(status=Order.Status.PAID).acount()
    return HttpResponse(f'<p class="figure"><strong>{parcels}</strong> parcels to hand over</p>')


@timed
def rates(request: HttpRequest) -> HttpResponse:
    numbers.pace()
    raise ConnectionError("rates.internal:8443 does not answer to 'shop'")
