"""A small site for the tests of layouts: pages, panels, and the package's own URLs."""

from django.urls import include, path

from htmx_live.layouts.urls import urlpatterns as layout_urls
from tests.layouts import test_panels
from tests.layouts.conftest import answer

shop = [
    path("home/", answer("home"), name="home"),
    path("hello/", test_panels.Hello.as_view(), name="hello"),
    path("items/<int:pk>/", test_panels.item, name="item"),
    path("pinned/", test_panels.item, {"pk": 1}, name="pinned"),
]

urlpatterns = [
    path("shop/", include((shop, "shop"))),
    path("plain/", answer("plain home"), name="plain"),
    path("live/", include((layout_urls, "htmx_live"))),
]
