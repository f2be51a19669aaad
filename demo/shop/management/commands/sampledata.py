"""``manage.py sampledata``: the shop's made-up past, the same on every machine."""

from django.core.management.base import BaseCommand

from demo.shop import sample


class Command(BaseCommand):
    help = "Fill an empty database with three users and about two thousand orders. Does nothing to a full one."

    def handle(self, *args: object, **options: object) -> None:
        orders = sample.load()
        if orders and options["verbosity"]:
            self.stdout.write(f"Loaded {orders} orders of the shop's last years.")
