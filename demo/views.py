"""The demo's start page and its login by a click."""

from typing import Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import TemplateView

from demo.shop.models import Customer, Order, Product
from demo.shop.sample import OWNER, USERS


class StartView(TemplateView):
    template_name = "demo/start.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        counts = {
            "orders": Order.objects.count(),
            "customers": Customer.objects.count(),
            "products": Product.objects.count(),
        }
        return super().get_context_data(counts=counts, **kwargs)


class SignInView(RedirectURLMixin, TemplateView):
    """Signs in one of the prepared users, without a password: this shop exists on your machine only."""

    template_name = "demo/login.html"
    next_page = "reports"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        users = get_user_model().objects.filter(username__in=[*USERS, *OWNER]).order_by("username")
        return super().get_context_data(users=users, next=self.get_redirect_url(), **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        prepared = get_user_model().objects.filter(username__in=[*USERS, *OWNER])
        login(request, get_object_or_404(prepared, username=request.POST.get("user", "")))
        return redirect(self.get_success_url())
