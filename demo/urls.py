"""The demo's URLs."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from demo.reports.views import download, reports
from demo.shop.views import OrderList, OrderPage, ProductList

from .views import SignInView, StartView

urlpatterns = [
    path("", StartView.as_view(), name="start"),
    path("login/", SignInView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="start"), name="logout"),
    path("reports/", reports, name="reports"),
    path("exports/<int:pk>/", download, name="download"),
    path("orders/", OrderList.as_view(), name="orders"),
    path("orders/<slug:number>/", OrderPage.as_view(), name="order"),
    path("products/", ProductList.as_view(), name="products"),
    path("live/", include("htmx_live.urls")),
]
