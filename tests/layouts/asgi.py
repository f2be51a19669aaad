"""The ASGI application that serves ``tests.layouts.site``, its static files too."""

import os
from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.layouts.server_settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponseBase

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"


class StrictPolicy:
    """A middleware that sends the policy; async, so that it costs no thread."""

    async_capable, sync_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        assert iscoroutinefunction(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)  # type: ignore[misc]
        response.headers["Content-Security-Policy"] = POLICY
        return response


application = ASGIStaticFilesHandler(get_asgi_application())
