"""Django's test client on the project's URLs and one more: the place where a test mounts its view."""

from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.test import Client
from django.test.client import ClientHandler
from django.urls import get_resolver
from django.urls import path as route

from htmx_live.views import LiveView

__all__ = ["PageClient"]


class PageClient(Client):
    """Django's test client on the project's URLs and one more."""

    def __init__(self, view: type[LiveView], path: str, kwargs: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        place = route(urlsplit(path).path.lstrip("/"), view.as_view(**kwargs))
        urls = ModuleType("htmx_live_test_urls")
        urls.__dict__["urlpatterns"] = [place, *get_resolver().url_patterns]
        self.handler = _Handler(urls)


class _Handler(ClientHandler):
    def __init__(self, urlconf: Any) -> None:
        super().__init__(enforce_csrf_checks=False)
        self._urlconf = urlconf

    def get_response(self, request: HttpRequest) -> Any:
        request.urlconf = self._urlconf
        return super().get_response(request)
