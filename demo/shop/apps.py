"""The shop: what it sells, to whom, and what was ordered."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "demo.shop"
