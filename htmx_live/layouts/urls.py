"""URLs of layouts: where panels that come after their page are loaded from.

Part of ``htmx_live.urls``; a project that uses layouts alone may include this module instead.
"""

from django.urls import path

from htmx_live.layouts.views import panel

app_name = "htmx_live"

urlpatterns = [path("layouts/<str:reference>/", panel, name="panel")]
