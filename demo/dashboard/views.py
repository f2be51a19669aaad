"""The dashboard: one live view that all who look at it share."""

from random import Random

from django.db.models import Count, Sum
from django.utils.timezone import now

from demo.shop.models import Order
from demo.shop.ordering import place_random_order
from htmx_live import LiveView, event_handler

from .chart import revenue_chart


class Dashboard(LiveView):
    template_name = "dashboard/dashboard.html"
    page_template_name = "dashboard/page.html"
    login_required = True
    scope = "shared"  # one record, one render and one message for everybody
    tick_interval = 5000  # orders placed in another process are seen now at the latest

    def handle_tick(self):
        """Render again; what is unchanged is not sent."""

    @event_handler
    def order_something(self):
        order = place_random_order(Random())
        self.notify(f"{order.customer} ordered for {order.total} €.", level="success")

    def get_context_data(self, **kwargs):
        orders = Order.objects.select_related("customer").order_by("-pk")
        month = orders.filter(placed_at__year=now().year, placed_at__month=now().month)
        unpaid = orders.filter(status=Order.Status.OPEN)
        return {
            "latest": orders[:7],
            "unpaid": unpaid.aggregate(count=Count("pk"), sum=Sum("total", default=0)),
            "to_ship": orders.filter(status=Order.Status.PAID).count(),
            "this_month": month.exclude(status=Order.Status.CANCELLED).aggregate(
                count=Count("pk"), sum=Sum("total", default=0)
            ),
            "chart": revenue_chart(until=now()),
            **kwargs,
        }
