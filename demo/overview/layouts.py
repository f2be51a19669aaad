"""The layouts of the overview: the same four panels in the page, after it, and following in the same response."""

import time

from demo.reports.views import Forecast
from htmx_live.layouts import Layout, Panel

from . import panels


class Overview(Layout):
    template = "overview/page.html"
    error_template = "overview/failed.html"

    revenue = Panel(panels.revenue)
    sellers = Panel(panels.sellers)
    courier = Panel("overview:courier")  # by its URL
    rates = Panel(panels.rates)


class LazyOverview(Overview):
    def get_layout_context(self, request):
        return {"opened": time.time()}

    revenue = Panel(panels.revenue, lazy=True, carry=["opened"])
    sellers = Panel(panels.sellers, lazy=True, carry=["opened"])
    courier = Panel("overview:courier", lazy=True, carry=["opened"])
    rates = Panel(panels.rates, lazy=True, carry=["opened"])
    forecast = Panel(Forecast.as_view(), lazy="visible")  # a live view


class StreamedOverview(Overview):
    def get_layout_context(self, request):
        return {"opened": time.time()}

    revenue = Panel(panels.revenue, stream=True)
    sellers = Panel(panels.sellers, stream=True)
    courier = Panel("overview:courier", stream=True)
    rates = Panel(panels.rates, stream=True)
