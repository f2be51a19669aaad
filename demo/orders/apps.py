"""The orders: a list to search, sort and page through, and a form for new ones."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "demo.orders"
