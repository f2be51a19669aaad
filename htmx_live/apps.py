"""The Django app: wires the parts together once all apps are loaded."""

from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from htmx_live.core.conf import moved_path, project_setting

__all__ = ["HtmxLiveConfig"]


class HtmxLiveConfig(AppConfig):
    name = "htmx_live"
    verbose_name = "htmx live"

    def __init__(self, *args: Any) -> None:
        # As early as this, and no system check: Django imports all apps before it checks any.
        for app in project_setting("INSTALLED_APPS"):
            if new := moved_path(app):
                raise ImproperlyConfigured(f"INSTALLED_APPS names {app!r}, which has moved. Use {new!r}.")
        super().__init__(*args)

    def import_models(self) -> None:
        # As early as this, and no system check: django-components, whose ready() may come before ours, reads it.
        if not project_setting("BASE_DIR"):
            raise ImproperlyConfigured(
                "htmx_live.E018: there is no BASE_DIR in settings, from which django-components finds its folders. "
                "Add: BASE_DIR = Path(__file__).resolve().parent.parent."
            )
        super().import_models()

    def ready(self) -> None:
        # Imported here because they need the app registry.
        from htmx_live import checks, components
        from htmx_live.http import eventstream, stream_endpoint
        from htmx_live.layouts import base as layouts
        from htmx_live.progress import worker
        from htmx_live.runtime import job_control, ticks

        assert job_control and worker and ticks  # imported: they register what runs jobs and ticks
        checks.register_checks()
        layouts.register_layout_checks()
        layouts.autodiscover()
        components.register_all()
        stream_endpoint.connect_auth_signals()
        eventstream.install()
