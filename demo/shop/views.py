"""The shop's plain pages: one order and the products, without anything live."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.views.generic import DetailView, ListView

from .models import Order, Product


class OrderPage(LoginRequiredMixin, DetailView):
    template_name = "shop/order.html"
    queryset = Order.objects.select_related("customer", "clerk").prefetch_related("lines__product")
    slug_field = slug_url_kwarg = "number"


class ProductList(LoginRequiredMixin, ListView):
    template_name = "shop/products.html"
    model = Product
    context_object_name = "products"
