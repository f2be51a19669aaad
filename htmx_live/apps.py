"""The Django app: wires the parts together once all apps are loaded."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from htmx_live.conf import project_setting

__all__ = ["HtmxLiveConfig"]


class HtmxLiveConfig(AppConfig):
    name = "htmx_live"
    verbose_name = "htmx live"

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
        from htmx_live import checks, components, signals
        from htmx_live.layouts import checks as layout_checks
        from htmx_live.layouts import discovery
        from htmx_live.progress import performing
        from htmx_live.runtime import jobs, ticks
        from htmx_live.transport import eventstream

        assert jobs and performing and ticks  # importing them hands `perform` to the runners and `tick` to the ticker
        checks.register()
        layout_checks.register()
        discovery.autodiscover()
        components.register()
        signals.connect()
        eventstream.install()
