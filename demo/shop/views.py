"""The shop's plain pages: lists and one order, without anything live."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import Q, QuerySet
from django.views.generic import DetailView, ListView

from .models import Order, Product


class OrderList(LoginRequiredMixin, ListView):
    template_name = "shop/orders.html"
    context_object_name = "orders"
    paginate_by = 20

    def get_queryset(self) -> QuerySet[Order]:
        orders = Order.objects.select_related("customer")
        words = self.request.GET.get("q", "").replace("\0", "").strip()
        return orders.filter(Q(number__icontains=words) | Q(customer__name__icontains=words)) if words else orders

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(q=self.request.GET.get("q", ""), **kwargs)


class OrderPage(LoginRequiredMixin, DetailView):
    template_name = "shop/order.html"
    queryset = Order.objects.select_related("customer").prefetch_related("lines__product")
    slug_field = slug_url_kwarg = "number"


class ProductList(LoginRequiredMixin, ListView):
    template_name = "shop/products.html"
    model = Product
    context_object_name = "products"
