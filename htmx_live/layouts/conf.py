"""Settings of layouts: every key of ``HTMX_LIVE["LAYOUTS"]``, its type, its unit and its default.

``layout_settings()`` reads Django's settings each time, so that tests override them for free.

What can go wrong with a panel.

    HtmxLiveError
    ├── PanelRenderError    a panel failed, and DEBUG_ERRORS asks to raise
    ├── PanelTimeout        a panel took longer than its timeout (also a TimeoutError)
    └── PanelStatusError    a panel answered with a redirect or an error page

``PanelError`` is no exception but the account of one, for ``Layout.on_panel_error``.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, fields

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from htmx_live.core.conf import settings, unknown_keys_message
from htmx_live.core.exceptions import HtmxLiveError

__all__ = ["LayoutSettings", "PanelError", "PanelRenderError", "PanelStatusError", "PanelTimeout", "layout_settings"]


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
    def raises_errors(self) -> bool:
        """Whether a failed panel raises."""
        return django_settings.DEBUG if self.DEBUG_ERRORS is None else self.DEBUG_ERRORS

    @property
    def sends_server_timing(self) -> bool:
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
    return unknown_keys_message('HTMX_LIVE["LAYOUTS"]', given, known)


@dataclass(frozen=True, slots=True)
class PanelError:
    """One panel's failure.  ``source`` is what the panel was declared with."""

    panel_name: str
    source: object
    exception: BaseException
    traceback_str: str

    @classmethod
    def from_exception(cls, panel_name: str, source: object, exception: BaseException) -> "PanelError":
        return cls(panel_name, source, exception, "".join(traceback.format_exception(exception)))


class PanelRenderError(HtmxLiveError):
    """A panel failed; ``panel_error`` tells everything."""

    def __init__(self, panel_error: PanelError) -> None:
        self.panel_error = panel_error
        super().__init__(f"Panel {panel_error.panel_name!r} failed: {panel_error.exception!r}")


class PanelTimeout(HtmxLiveError, TimeoutError):
    """A panel took longer than ``timeout`` seconds."""

    def __init__(self, name: str, timeout: float) -> None:
        self.name, self.timeout = name, timeout
        super().__init__(
            f"Panel {name!r} was not ready after {timeout:g} s. Give it more with Panel(timeout=…), or let it follow "
            "the page with lazy=True, stream=True or lazy_on_timeout=True."
        )


class PanelStatusError(HtmxLiveError):
    """A panel's view answered with ``status_code``, which does not belong into a page."""

    def __init__(self, status: int, location: str = "") -> None:
        self.status_code, self.location = status, location
        where = f" to {location}" if location else ""
        super().__init__(
            f"The panel's view answered {status}{where}. A panel is HTML with status 200; return an empty response "
            "where there is nothing to show."
        )
