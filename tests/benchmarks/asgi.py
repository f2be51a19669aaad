"""The benchmarks' site under ASGI."""

from django.core.asgi import get_asgi_application

from htmx_live.asgi import live_asgi

application = live_asgi(get_asgi_application())
