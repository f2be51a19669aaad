"""Whoever saves an order, and wherever: the pages that show orders are told when it is committed."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from demo.orders.views import OrderList
from demo.shop.models import Order
from htmx_live import push_to_view

from .views import Dashboard


@receiver(post_save, sender=Order)
def tell_pages(**signal: Any) -> None:
    push_to_view(Dashboard)
    push_to_view(OrderList)
