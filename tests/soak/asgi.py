"""The soak's web application, with ``/diagnostics/`` in front of it."""

import json
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.soak.settings")

from typing import Any

from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi
from tests.jobs.celery.app import app

__all__ = ["app", "application"]

live = live_asgi(get_asgi_application())

from tests.soak.diagnostics import measure, objects  # noqa: E402  models must be ready

LOOPBACK = ("127.0.0.1", "::1")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer diagnostics on the event loop itself, so that no thread is needed for them under load."""
    if scope["type"] != "http" or scope["path"] != "/diagnostics/":
        await live(scope, receive, send)
        return
    is_local = scope["client"] and scope["client"][0] in LOOPBACK
    answer = (objects() if scope["query_string"] == b"objects" else measure()) if is_local else {}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200 if is_local else 403, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
