"""``manage.py new_order``: somebody orders something, from the command line."""

from random import Random

from django.conf import settings
from django.core.management.base import BaseCommand

from demo.dashboard.views import Dashboard
from demo.shop.ordering import place_random_order


class Command(BaseCommand):
    help = "Place a random order. Open dashboards and order lists show it."

    def handle(self, *args: object, **options: object) -> None:
        order = place_random_order(Random())
        self.stdout.write(f"{order.customer} ordered for {order.total} €: order {order.number}.")
        if not getattr(settings, "HTMX_LIVE", {}).get("REDIS_URL"):
            seconds = Dashboard.tick_interval // 1000
            self.stdout.write(
                "This process and the web server each have a memory of their own, so a push from here reaches nobody: "
                f"the dashboard sees the order at its next tick, within {seconds} s, and lists when they are loaded "
                "again. With HTMX_LIVE['REDIS_URL'] both share one, and every open page shows it at once."
            )
