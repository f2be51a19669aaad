"""A project that has event streams of its own: its URLs, its channel managers, and its application.

``POST send/`` takes JSON ``[channel, data]`` and sends an event, as such a project does anywhere.
"""

import json
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.http.existing_settings")

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

application = get_asgi_application()

from django_eventstream import channel_permission_changed, send_event  # noqa: E402
from django_eventstream.channelmanager import DefaultChannelManager  # noqa: E402


class Permissive(DefaultChannelManager):
    """A project's own that reads channels from wherever a visitor writes them, and permits all."""

    def get_channels_for_request(self, request, view_kwargs):
        return set(request.headers.get("x-channels", "").split()) or super().get_channels_for_request(
            request, view_kwargs
        )

    def can_read_channel(self, user, channel):
        return True


class PerUser(DefaultChannelManager):
    """``user:PK`` is its user's, until their account is closed; nothing else is read."""

    def can_read_channel(self, user, channel):
        return user is not None and user.is_active and channel == f"user:{user.pk}"


@csrf_exempt
def send(request: HttpRequest) -> HttpResponse:
    channel, data = json.loads(request.body)
    send_event(channel, "message", data)
    return HttpResponse()


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = get_user_model().objects.get_or_create(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(user.pk))


def close_account(request: HttpRequest) -> HttpResponse:
    request.user.is_active = False
    request.user.save()
    channel_permission_changed(request.user, f"user:{request.user.pk}")
    return HttpResponse()


urlpatterns = [
    path("asked/", include("django_eventstream.urls")),
    path("fixed/", include("django_eventstream.urls"), {"channels": ["news"]}),
    path("rooms/<str:room>/", include("django_eventstream.urls"), {"format-channels": ["room-{room}"]}),
    path("captured/<str:channel>/", include("django_eventstream.urls")),
    path("send/", send),
    path("login/<str:name>/", log_in),
    path("close/", close_account),
]

if "htmx_live" in settings.INSTALLED_APPS:
    from htmx_live.asgi import live_asgi
    from tests.http.existing_live import Board, SharedBoard, push

    urlpatterns += [
        path("live/", include("htmx_live.urls")),
        path("board/", Board.as_view()),
        path("shared/", SharedBoard.as_view()),
        path("push/", push),
    ]
    application = live_asgi(application)
