"""Ordering: how an order comes to be, whoever places it."""

from decimal import Decimal
from functools import partial
from pathlib import PurePath
from random import Random
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.timezone import now

from .models import Customer, Order, OrderLine, Product, private_files

__all__ = ["delete_later", "delete_order", "move_order", "place_order", "place_random_order", "save_lines"]


@transaction.atomic
def place_order(customer: Customer, product: Product, quantity: int, *, clerk: Any) -> Order:
    """A new, unpaid order of one product.  It exists as a whole, or not at all."""
    line = OrderLine(product=product, quantity=quantity, unit_price=product.price)
    line.order = Order.objects.create(
        number=_next_number(),
        customer=customer,
        placed_at=now(),
        status=Order.Status.OPEN,
        total=line.amount,
        clerk=clerk,
    )
    line.save()
    return line.order


def place_random_order(random: Random) -> Order:
    """What a visitor to the shop might have ordered, for one of us to look after."""
    customer = random.choice(list(Customer.objects.all()))
    product = random.choice(list(Product.objects.filter(category="Gifts") or Product.objects.all()))
    quantity = random.choice([1, 1, 2, 3])
    clerks = list(get_user_model().objects.filter(is_staff=False))
    return place_order(customer, product, quantity, clerk=random.choice(clerks) if clerks else None)


@transaction.atomic
def move_order(pk: int, to: Order.Status) -> bool:
    """Whether the order could take this step; two who try at once take it once."""
    order = Order.objects.select_for_update().filter(pk=pk).first()
    if order is None or to not in order.steps:
        return False
    order.status = to
    order.save(update_fields=["status"])
    return True


@transaction.atomic
def save_lines(lines: Any, *, user: Any) -> bool:
    """Whether the order could still be changed: then its lines, a bound inline formset, and its total are saved."""
    order = Order.objects.changeable_by(user).select_for_update().filter(pk=lines.instance.pk).first()
    if order is None:
        return False
    lines.save()
    order.total = sum((line.amount for line in order.lines.all()), start=Decimal(0))
    order.save(update_fields=["total"])
    return True


@transaction.atomic
def delete_order(number: str, *, user: Any) -> bool:
    """Whether the order was there to be deleted, by this user; its file goes with it."""
    order = Order.objects.changeable_by(user).select_for_update().filter(number=number).first()
    if order is None:
        return False
    delete_later(order.attachment.name or "")
    order.delete()
    return True


def delete_later(name: str) -> None:
    """Delete a file of an order, and its folder, once the transaction is committed: until then it is wanted."""
    for path in (name, str(PurePath(name).parent)) if name else ():
        transaction.on_commit(partial(private_files().delete, path))


def _next_number() -> str:
    last = Order.objects.filter(number__startswith="B-").order_by("-pk").values_list("number", flat=True).first()
    return f"B-{int(last.removeprefix('B-')) + 1 if last else 10_000}"
