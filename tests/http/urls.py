"""URLs of a project that includes the package's, as far as streams go."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("live/", include(([path("stream/", nothing, name="stream")], "htmx_live"))),
    path("other/", nothing, name="stream"),
]
