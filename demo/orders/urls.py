"""The URLs of the orders."""

from django.urls import path

from demo.shop.views import OrderPage

from .editing import DeleteOrder, edit_order, edit_order_dialog, order_attachment
from .views import NewOrder, OrderList, new_order_dialog, order_lines

urlpatterns = [
    path("", OrderList.as_view(), name="orders"),
    path("new/", NewOrder.as_view(), name="new_order"),
    path("new/dialog/", new_order_dialog, name="new_order_dialog"),
    path("<slug:number>/", OrderPage.as_view(), name="order"),
    path("<slug:number>/lines/", order_lines, name="order_lines"),
    path("<slug:number>/edit/", edit_order, name="edit_order"),
    path("<slug:number>/edit/dialog/", edit_order_dialog, name="edit_order_dialog"),
    path("<slug:number>/delete/", DeleteOrder.as_view(), name="delete_order"),
    path("<slug:number>/attachment/", order_attachment, name="order_attachment"),
]
