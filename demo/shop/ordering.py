"""Ordering: how an order comes to be, whoever places it."""

from random import Random

from django.db import transaction
from django.utils.timezone import now

from .models import Customer, Order, OrderLine, Product

__all__ = ["move_order", "place_order", "place_random_order"]


@transaction.atomic
def place_order(customer: Customer, product: Product, quantity: int) -> Order:
    """A new, unpaid order of one product.  It exists as a whole, or not at all."""
    line = OrderLine(product=product, quantity=quantity, unit_price=product.price)
    line.order = Order.objects.create(
        number=_next_number(), customer=customer, placed_at=now(), status=Order.Status.OPEN, total=line.amount
    )
    line.save()
    return line.order


def place_random_order(random: Random) -> Order:
    """What a visitor to the shop might have ordered."""
    customer = random.choice(list(Customer.objects.all()))
    product = random.choice(list(Product.objects.filter(category="Gifts") or Product.objects.all()))
    return place_order(customer, product, quantity=random.choice([1, 1, 2, 3]))


@transaction.atomic
def move_order(pk: int, to: Order.Status) -> bool:
    """Whether the order could take this step; two who try at once take it once."""
    order = Order.objects.select_for_update().filter(pk=pk).first()
    if order is None or to not in order.steps:
        return False
    order.status = to
    order.save(update_fields=["status"])
    return True


def _next_number() -> str:
    last = Order.objects.order_by("-pk").values_list("number", flat=True).first()
    return f"B-{int(last.removeprefix('B-')) + 1 if last else 10_000}"
