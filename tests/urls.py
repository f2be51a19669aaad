"""The test run's URLs: the library's own, where it has them."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = []
if find_spec("htmx_live.urls"):
    urlpatterns.append(path("live/", include("htmx_live.urls")))
