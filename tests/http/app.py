"""The application of the servers that the transport's tests start, and its URLs.

`POST command/` takes JSON `[name, arguments]` and calls that method of the bus, or sends an event as a project does;
`GET census/` counts what the process holds.
"""

import json
import os
import threading
from functools import partial

import django
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.http.settings")
django.setup()

from django_eventstream import send_event  # noqa: E402

from htmx_live.asgi import live_asgi  # noqa: E402
from htmx_live.backends import bus  # noqa: E402
from htmx_live.http import eventstream  # noqa: E402
from htmx_live.http import stream_connection as body  # noqa: E402
from htmx_live.http.stream_endpoint import stream_response  # noqa: E402
from htmx_live.http.stream_hub import current_hub  # noqa: E402
from tests.http.gate import TrustingGate  # noqa: E402

if not os.environ.get("TRANSPORT_STOCK"):
    assert eventstream.install() == ""
gate = TrustingGate()


async def stream(request: HttpRequest) -> HttpResponse:
    return await stream_response(request, partial(body.generate_stream, gate))


def command(request: HttpRequest) -> JsonResponse:
    answer = None
    for name, arguments in json.loads(request.body):
        if name == "send_event":
            send_event(arguments["channel"], "message", arguments["data"])
        else:
            answer = getattr(bus(), name)(**arguments)
    return JsonResponse({"answer": answer})


async def census(request: HttpRequest) -> JsonResponse:
    hub = current_hub()
    threads = sum(1 for thread in threading.enumerate() if not thread.name.startswith("asyncio"))
    return JsonResponse(
        {
            "streams": len(hub),
            "threads": threads,
            "memory": _resident(),
            "cpu": sum(os.times()[:2]),
            "closed": sum(1 for call, _ in gate.calls if call == "closed"),
        }
    )


def _resident() -> int:
    """Bytes of memory in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


urlpatterns = [
    path("live/", include(([path("stream/", stream, name="stream")], "htmx_live"))),
    path("events/", include("django_eventstream.urls"), {"channels": ["news"]}),
    path("command/", command),
    path("census/", census),
]

plain = get_asgi_application()
application = live_asgi(plain, authorizer=gate)
