"""Changing an order: two live forms, which its own page and a dialog show alike, and the plain pages around them."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.generic import DeleteView

from demo.shop.models import Order
from demo.shop.ordering import delete_order, save_lines
from htmx_live import LiveFormView, UserError, event_handler

from .forms import DetailsForm, LinesFormSet


class MyOrder:
    """A form's object is an order that the user looks after, and may still change; there is no other."""

    login_required = True

    def get_form_kwargs(self):  # asked at each event and each render
        mine = Order.objects.changeable_by(self.user)
        return {**super().get_form_kwargs(), "instance": get_object_or_404(mine, number=self.kwargs["number"])}


class OrderDetails(MyOrder, LiveFormView):
    template_name = "orders/details.html"
    form_class = DetailsForm

    def form_valid(self, form):
        form.save()
        messages.success(self.request, f"Order {form.instance} is saved.")
        self.clear_form()

    @event_handler
    def delete(self):
        if not delete_order(self.kwargs["number"], user=self.user):
            raise UserError("This order has moved on meanwhile.")
        messages.success(self.request, f"Order {self.kwargs['number']} is deleted.")
        self.redirect("orders")
        self.skip_render()  # there is no order any more


class OrderLines(MyOrder, LiveFormView):
    template_name = "orders/edit_lines.html"
    form_class = LinesFormSet

    def form_valid(self, form):
        if not save_lines(form, user=self.user):
            raise UserError("This order has moved on meanwhile.")
        messages.success(self.request, f"The lines of order {form.instance} are saved.")
        self.clear_form()

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        amounts = [line.amount for line in self.get_form()]
        rows = list(zip(context["form"], amounts, strict=True))
        total = sum(amount for row, amount in rows if amount and not row["DELETE"].value())
        return {**context, "rows": rows, "total": total}


@login_required
def edit_order(request: HttpRequest, number: str) -> HttpResponse:
    order = get_object_or_404(Order.objects.changeable_by(request.user), number=number)
    return render(request, "orders/edit.html", {"order": order})


@login_required
def edit_order_dialog(request: HttpRequest, number: str) -> HttpResponse:
    """The same two forms: plain htmx puts them into a dialog of a page that is there."""
    order = get_object_or_404(Order.objects.changeable_by(request.user), number=number)
    return render(request, "orders/edit_dialog.html", {"order": order})


class DeleteOrder(LoginRequiredMixin, DeleteView):
    """Asks before it deletes, where there is no script to ask."""

    template_name = "orders/delete.html"
    slug_field = slug_url_kwarg = "number"

    def get_queryset(self) -> Any:
        return Order.objects.changeable_by(self.request.user)

    def form_valid(self, form: Any) -> HttpResponse:
        number = self.object.number
        if not delete_order(number, user=self.request.user):
            raise Http404(f"Order {number} has moved on meanwhile.")
        messages.success(self.request, f"Order {number} is deleted.")
        return HttpResponseRedirect(reverse("orders"))


@login_required
def order_attachment(request: HttpRequest, number: str) -> FileResponse:
    """The file of an order, for whoever looks after it."""
    order = get_object_or_404(Order.objects.of(request.user).exclude(attachment=""), number=number)
    return FileResponse(order.attachment.open("rb"), as_attachment=True, filename=order.attachment_name)
