"""URLs of the package: ``path("live/", include("htmx_live.urls"))``."""

from django.urls import path

from htmx_live.http import endpoints
from htmx_live.layouts.views import panel
from htmx_live.progress import views as progress

app_name = "htmx_live"

urlpatterns = [
    path("event/<str:handler>/", endpoints.handle_event, name="event"),
    path("stream/", endpoints.open_stream, name="stream"),
    path("sync/", endpoints.handle_sync, name="sync"),
    path("health/", endpoints.health, name="health"),
    path("notices/", endpoints.acknowledge_notices, name="notices"),
    path("progress/<str:grant>/", progress.progress, name="progress"),
    path("progress/<str:grant>/cancel/", progress.cancel, name="progress_cancel"),
    path("progress/<str:grant>/retry/", progress.retry, name="progress_retry"),
    path("layouts/<str:reference>/", panel, name="panel"),
]
