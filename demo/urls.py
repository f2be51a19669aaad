"""The demo's URLs."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from demo.dashboard.views import Dashboard
from demo.notes.views import SharedNote
from demo.orders.views import NewOrder, OrderList, new_order_dialog, order_lines
from demo.reports.views import download, reports
from demo.shop.views import OrderPage, ProductList

from .views import SignInView, StartView

urlpatterns = [
    path("", StartView.as_view(), name="start"),
    path("login/", SignInView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="start"), name="logout"),
    path("reports/", reports, name="reports"),
    path("exports/<int:pk>/", download, name="download"),
    path("overview/", include("demo.overview.urls")),
    path("dashboard/", Dashboard.as_view(), name="dashboard"),
    path("note/", SharedNote.as_view(pk=1), name="note"),
    path("orders/", OrderList.as_view(), name="orders"),
    path("orders/new/", NewOrder.as_view(), name="new_order"),
    path("orders/new/dialog/", new_order_dialog, name="new_order_dialog"),
    path("orders/<slug:number>/lines/", order_lines, name="order_lines"),
    path("orders/<slug:number>/", OrderPage.as_view(), name="order"),
    path("products/", ProductList.as_view(), name="products"),
    path("live/", include("htmx_live.urls")),
]
