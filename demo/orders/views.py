"""The live list of orders, and the form for a new one."""

from collections.abc import Iterator
from enum import StrEnum

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from demo.reports.numbers import pace
from demo.shop.models import Customer, Order, Product
from demo.shop.ordering import move_order, place_order
from htmx_live import LiveFormView, LiveView, UserError, background, debounce, event_handler

# What a list of orders may be sorted by, and its column's title.
COLUMNS = {"number": "Order", "placed_at": "Date", "customer__name": "Customer", "status": "Status", "total": "€"}
Sort = StrEnum("Sort", {name: name for column in COLUMNS for name in (column, f"-{column}")})


class OrderList(LiveView):
    template_name = "orders/list.html"
    page_template_name = "orders/page.html"
    login_required = True
    url_state = ("q", "sort", "page")
    url_push = ("sort", "page")  # "back" undoes these

    def mount(self, request, **kwargs):
        self.q, self.sort, self.page = "", Sort("-placed_at"), 1  # what the address says is read alike

    @event_handler
    @debounce(wait=0.3)
    def search(self, q: str = ""):
        self.q, self.page = q[:100], 1

    @event_handler
    def sort_by(self, sort: Sort):
        self.sort, self.page = sort, 1

    @event_handler
    def turn_to(self, page: int):
        self.page = page

    @event_handler
    @background(key="pk")  # one job, and one spinner, for each row
    def move(self, pk: int, to: Order.Status):
        pace()  # a slow bank, a slow parcel service
        if not move_order(pk, to):
            raise UserError("This order has moved on meanwhile.")

    def get_context_data(self, **kwargs):
        words = Q(number__icontains=self.q.strip()) | Q(customer__name__icontains=self.q.strip())
        orders = Order.objects.select_related("customer").filter(words).order_by(self.sort, "-pk")
        return {"page_obj": Paginator(orders, 12).get_page(self.page), "columns": headings(self.sort), **kwargs}


def headings(sort: str) -> Iterator[dict[str, str]]:
    """The columns of a sorted list; a second click on one turns its order around."""
    looks = {"placed_at": "roomy", "status": "roomy", "total": "number"}
    for name, title in COLUMNS.items():
        is_up, is_down = sort == name, sort == f"-{name}"
        yield {
            "title": title,
            "look": looks.get(name, ""),
            "sorted": "ascending" if is_up else "descending" if is_down else "",
            "next": f"-{name}" if is_up else name,
        }


class OrderForm(forms.Form):
    customer = forms.ModelChoiceField(Customer.objects, empty_label="Choose …", label_suffix="")
    product = forms.ModelChoiceField(Product.objects, empty_label="Choose …", label_suffix="")
    quantity = forms.IntegerField(min_value=1, max_value=99, initial=1, label_suffix="")


class NewOrder(LiveFormView):
    template_name = "orders/new_order.html"
    page_template_name = "orders/new_order_page.html"
    login_required = True
    form_class = OrderForm

    def mount(self, request, **kwargs):
        self.placed = None

    def form_valid(self, form):
        self.placed = place_order(**form.cleaned_data, clerk=self.user)
        self.clear_form()


@login_required
def new_order_dialog(request: HttpRequest) -> HttpResponse:
    """The form alone: plain htmx puts it into a dialog of a page that is there."""
    return render(request, "orders/new_order_dialog.html")


@login_required
def order_lines(request: HttpRequest, number: str) -> HttpResponse:
    """What was ordered, for the same dialog."""
    orders = Order.objects.select_related("customer").prefetch_related("lines__product")
    return render(request, "orders/lines.html", {"order": get_object_or_404(orders, number=number)})
