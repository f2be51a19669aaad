"""A small shop: products, customers, their orders."""

from decimal import Decimal
from pathlib import Path, PurePath
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.db import models


def private_files() -> FileSystemStorage:
    """Beside the database, and under no URL: what is in it is served by views that ask who wants it."""
    return FileSystemStorage(location=Path(settings.DATABASES["default"]["NAME"]).parent / "attachments")


def attachment_path(order: "Order", filename: str) -> str:
    """A folder for each file, so that one that takes the place of another keeps its name."""
    return f"{order.number}-{token_hex(8)}/{filename}"


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    city = models.CharField(max_length=60)
    since = models.DateField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    sku = models.CharField("article number", max_length=12, unique=True)
    name = models.CharField(max_length=100)
    category = models.CharField(max_length=40)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField()

    class Meta:
        ordering = ["category", "name"]

    def __str__(self) -> str:
        return self.name


class Orders(models.QuerySet["Order"]):
    def of(self, user: Any) -> "Orders":
        """Those that the user looks after; the others are a colleague's.  Staff look after all."""
        return self if user.is_staff else self.filter(clerk=user)

    def changeable_by(self, user: Any) -> "Orders":
        """Those of them that have not left the house, nor been cancelled."""
        return self.of(user).filter(status__in=[Order.Status.OPEN, Order.Status.PAID])


class Order(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "Unpaid"
        PAID = "paid", "Paid"
        SHIPPED = "shipped", "Shipped"
        CANCELLED = "cancelled", "Cancelled"

    number = models.CharField(max_length=12, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    placed_at = models.DateTimeField(db_index=True)
    status = models.CharField(max_length=10, choices=Status, db_index=True)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    reminded_at = models.DateTimeField(null=True, blank=True)
    clerk = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name="looked after by",
        on_delete=models.SET_NULL,
        null=True,
        related_name="orders",
    )
    deliver_on = models.DateField("deliver on", null=True, blank=True)
    note = models.CharField("note for the courier", max_length=120, blank=True)
    attachment = models.FileField(upload_to=attachment_path, storage=private_files, blank=True)

    objects = Orders.as_manager()

    class Meta:
        ordering = ["-placed_at", "-pk"]

    def __str__(self) -> str:
        return self.number

    @property
    def attachment_name(self) -> str:
        """What the file was called, without its folder."""
        return PurePath(self.attachment.name or "").name

    @property
    def steps(self) -> dict[Status, str]:
        """What can happen to the order next, and what a button for it says."""
        if self.status == self.Status.OPEN:
            return {self.Status.PAID: "Mark paid", self.Status.CANCELLED: "Cancel"}
        return {self.Status.SHIPPED: "Ship"} if self.status == self.Status.PAID else {}


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="lines")
    quantity = models.PositiveSmallIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product}"

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


class Export(models.Model):
    """A file that a background job wrote for one user."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    name = models.CharField(max_length=100)
    content = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name
