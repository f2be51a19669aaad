"""The Django app: wires the parts together once all apps are loaded."""

from django.apps import AppConfig

__all__ = ["HtmxLiveConfig"]


class HtmxLiveConfig(AppConfig):
    name = "htmx_live"
    verbose_name = "htmx live"

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
