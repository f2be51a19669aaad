"""The stranger's URLs."""

from counter.views import CounterView
from django.urls import include, path

urlpatterns = [
    path("live/", include("htmx_live.urls")),
    path("", CounterView.as_view()),
]
