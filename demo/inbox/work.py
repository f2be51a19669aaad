"""Work that the inbox starts: it needs no page, and knows of none."""

from django.db.models import Sum
from django.urls import reverse

from demo.reports.numbers import pace
from demo.shop.models import Product
from htmx_live import UserError
from htmx_live.progress import current_task

__all__ = ["count", "order_more", "recount"]


def count(product: Product) -> int:
    """How many of it were ever sold."""
    pace()
    return product.lines.aggregate(sum=Sum("quantity", default=0))["sum"]


def recount() -> None:
    task = current_task()
    sold = 0
    for product in task.track(Product.objects.all(), unit="products"):
        sold += count(product)
    task.complete(f"{sold:,} pieces were sold", result=reverse("products"))


def order_more() -> None:
    task = current_task()
    for number, product in enumerate(task.track(Product.objects.order_by("stock"), unit="products")):
        count(product)
        if number == 5:
            raise UserError(f"The supplier of {product} does not answer.")
