"""The overview's URLs."""

from django.urls import path

from . import panels, views

app_name = "overview"

urlpatterns = [
    path("", views.StartView.as_view(), name="start"),
    path("plain/", views.plain, name="plain"),
    path("async/", views.side_by_side, name="async"),
    path("lazy/", views.lazy, name="lazy"),
    path("streamed/", views.streamed, name="streamed"),
    path("courier/", panels.courier, name="courier"),
]
