"""Imports: a file of orders, how far it has come, and the rows of it that do not fit."""

from secrets import token_hex

from django.conf import settings
from django.db import models
from django.urls import reverse

from demo.shop.models import private_files

VALUE_LENGTH = 80  # characters of a wrong value that are kept


def file_path(run: "Import", filename: str) -> str:
    """Nothing of what the user called the file: it is for the work alone."""
    return f"imports/{token_hex(16)}.csv"


class Import(models.Model):
    """One file.  ``position`` is how many of its rows are dealt with; it is saved with them, in one transaction."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports")
    name = models.CharField(max_length=200)
    file = models.FileField(upload_to=file_path, storage=private_files, blank=True)
    session = models.CharField(max_length=64, blank=True)  # of progress, as long as that is kept
    rows = models.PositiveIntegerField(default=0)
    faulty = models.PositiveIntegerField(default=0)
    position = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)  # orders that were there already
    prices = models.PositiveIntegerField(default=0)  # products whose price has changed
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("import", args=[self.pk])


class Fault(models.Model):
    """One value that does not fit, and for which its row was left out."""

    run = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="faults")
    line = models.PositiveIntegerField()
    column = models.CharField(max_length=20)
    value = models.CharField(max_length=VALUE_LENGTH, blank=True)
    reason = models.CharField(max_length=100)

    class Meta:
        ordering = ["line"]

    def __str__(self) -> str:
        return f"Line {self.line}, {self.column}: {self.reason}"
