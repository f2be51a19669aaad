"""The test run's URLs: the library's own."""

from django.urls import include, path

urlpatterns = [path("live/", include("htmx_live.urls"))]
