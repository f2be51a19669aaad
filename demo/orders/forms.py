"""The forms of an order: what is known of it, and its lines."""

from decimal import Decimal
from pathlib import PurePath
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.timezone import localdate

from demo.shop.models import Order, OrderLine
from demo.shop.ordering import delete_later

__all__ = ["DetailsForm", "LinesFormSet"]

# What a file of each kind begins with: its ending and its content type are only what a browser says.
BEGINNINGS = {".pdf": b"%PDF-", ".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff"}
LARGEST = 2 * 1024 * 1024  # bytes


class DetailsForm(forms.ModelForm):
    remove = forms.BooleanField(label="Remove it", required=False)

    class Meta:
        model = Order
        fields = ["customer", "deliver_on", "note", "attachment"]
        labels = {"attachment": "Delivery note (PDF or photo)"}
        widgets = {
            "deliver_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "attachment": forms.FileInput(attrs={"accept": ",".join(BEGINNINGS)}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.before = self.instance.attachment.name

    def clean_deliver_on(self) -> Any:
        day = self.cleaned_data["deliver_on"]
        if day and day < localdate(self.instance.placed_at):
            raise forms.ValidationError("The order was placed later than that.")
        if day and day.weekday() == 6:
            raise forms.ValidationError("Nothing is delivered on a Sunday.")
        return day

    def clean_attachment(self) -> Any:
        file = self.cleaned_data["attachment"]
        if isinstance(file, UploadedFile):
            start = BEGINNINGS.get(PurePath(file.name or "").suffix.lower())
            if start is None or file.read(len(start)) != start:
                raise forms.ValidationError("This is neither a PDF nor a PNG or JPEG picture.")
            if (file.size or 0) > LARGEST:
                raise forms.ValidationError("This is larger than 2 MB.")
            file.seek(0)
        return file

    @transaction.atomic
    def save(self, commit: bool = True) -> Order:
        """Write these fields alone, for a colleague may take the order a step further meanwhile."""
        if self.cleaned_data["remove"] and "attachment" not in self.changed_data:
            self.instance.attachment = ""
        self.instance.save(update_fields=self.Meta.fields)
        if self.instance.attachment.name != self.before:
            delete_later(self.before)
        return self.instance


class LineForm(forms.ModelForm):
    quantity = forms.IntegerField(min_value=1, max_value=99, initial=1, label_suffix="")

    class Meta:
        model = OrderLine
        fields = ["product", "quantity"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    def clean(self) -> None:
        """A product costs what it costs today; a line that names the same one as before keeps its price."""
        product = self.cleaned_data.get("product")
        if product and (self.instance.pk is None or "product" in self.changed_data):
            self.instance.unit_price = product.price

    @property
    def amount(self) -> Decimal | None:
        """What the line comes to, as far as it is filled in."""
        if self.is_bound and self.errors:  # which has read what was sent into the line
            return None
        line = self.instance
        is_whole = line.product_id and line.quantity and line.unit_price is not None
        return line.amount if is_whole else None


LinesFormSet = forms.inlineformset_factory(
    Order, OrderLine, form=LineForm, extra=0, min_num=1, max_num=20, validate_min=True, validate_max=True
)
LinesFormSet.default_error_messages = {
    **LinesFormSet.default_error_messages,
    "too_few_forms": "An order has at least one line.",
    "too_many_forms": "An order has at most %(num)d lines.",
}
