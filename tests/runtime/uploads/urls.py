"""A site that takes files."""

from django.urls import include, path

from tests.runtime.uploads.views import Inbox, Order

urlpatterns = [
    path("inbox/", Inbox.as_view()),
    path("order/", Order.as_view()),
    path("live/", include("htmx_live.urls")),
]
