"""Settings of layouts: every key of ``HTMX_LIVE["LAYOUTS"]``, its type, its unit and its default.

``layout_settings()`` reads Django's settings each time, so that tests override them for free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from htmx_live.conf import settings, unknown_keys

__all__ = ["LayoutSettings", "layout_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSettings:
    """Every ``HTMX_LIVE["LAYOUTS"]`` key.  Durations are seconds."""

    # Errors
    DEBUG_ERRORS: bool | None = None  # a failed panel raises PanelRenderError; None follows DEBUG
    SERVER_TIMING: bool | None = None  # the Server-Timing header; None follows DEBUG

    # Running panels
    PANEL_TIMEOUT: float | None = 30.0  # for panels without a timeout of their own (see docs/layouts.md for @layout)
    PANEL_THREADS: int = 16  # threads that run sync panels of async pages, in one process
    THREAD_SENSITIVE: bool = False  # run sync panels in the request's thread, one after the other (for TestCase)

    # Cache
    CACHE_ENABLED: bool = True
    CACHE_BACKEND: str = "default"  # alias in CACHES for panels that name none

    # Partial answers
    PARTIAL_DETECTORS: Sequence[str] = ()  # dotted paths; the first that says True wins
    DETECTOR_RAISE_EXCEPTIONS: bool = False  # False: a failing detector is logged and counts as "no"
    HTMX_SMART_ROUTING: bool = False
    HTMX_CONTENT_TARGET: str = "#panel-content"  # where partial answers go
    HTMX_COOKIE_NAME: str = "dj_layout_current"
    HTMX_COOKIE_DOMAIN: str | None = None

    @property
    def raises(self) -> bool:
        """Whether a failed panel raises."""
        return django_settings.DEBUG if self.DEBUG_ERRORS is None else self.DEBUG_ERRORS

    @property
    def shows_times(self) -> bool:
        """Whether answers carry ``Server-Timing``."""
        return django_settings.DEBUG if self.SERVER_TIMING is None else self.SERVER_TIMING


def layout_settings() -> LayoutSettings:
    """The project's settings.  A misspelt key raises ``ImproperlyConfigured`` that guesses the right one."""
    given = settings().LAYOUTS
    try:
        return LayoutSettings(**given)
    except TypeError:
        raise ImproperlyConfigured(_unknown_keys(given)) from None


def _unknown_keys(given: object) -> str:
    known = [field.name for field in fields(LayoutSettings)]
    if not isinstance(given, dict):
        return f'HTMX_LIVE["LAYOUTS"] is {given!r}, not a dict. It knows: {", ".join(known)}.'
    return unknown_keys('HTMX_LIVE["LAYOUTS"]', given, known)
