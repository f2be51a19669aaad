"""What can go wrong with a panel.

    HtmxLiveError
    ├── PanelRenderError    a panel failed, and DEBUG_ERRORS asks to raise
    ├── PanelTimeout        a panel took longer than its timeout (also a TimeoutError)
    └── PanelStatusError    a panel answered with a redirect or an error page

``PanelError`` is no exception but the account of one, for ``Layout.on_panel_error``.
"""

import traceback
from dataclasses import dataclass

from htmx_live.exceptions import HtmxLiveError

__all__ = ["PanelError", "PanelRenderError", "PanelStatusError", "PanelTimeout"]


@dataclass(frozen=True, slots=True)
class PanelError:
    """One panel's failure.  ``source`` is what the panel was declared with."""

    panel_name: str
    source: object
    exception: BaseException
    traceback_str: str

    @classmethod
    def of(cls, panel_name: str, source: object, exception: BaseException) -> "PanelError":
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
