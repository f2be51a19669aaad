"""Live Django pages without writing JavaScript.

The names that a project's views need.  They are loaded when first used: this package is imported before Django's apps
are ready.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htmx_live.exceptions import Cancelled, UserError
    from htmx_live.forms import LiveFormView
    from htmx_live.fragments import Fragment
    from htmx_live.handlers import background, debounce, event_handler, throttle
    from htmx_live.live import AsyncWorkMixin, StreamingMixin
    from htmx_live.notices import anotify, notify
    from htmx_live.push import apush_to_view, push_to_view
    from htmx_live.regions import Topic, asend_fragment, send_fragment
    from htmx_live.saves import push_on_save
    from htmx_live.sessions import aend_streams, end_streams
    from htmx_live.views import LiveView

__all__ = [
    "AsyncWorkMixin",
    "Cancelled",
    "Fragment",
    "LiveFormView",
    "LiveView",
    "StreamingMixin",
    "Topic",
    "UserError",
    "aend_streams",
    "anotify",
    "apush_to_view",
    "asend_fragment",
    "background",
    "debounce",
    "end_streams",
    "event_handler",
    "notify",
    "push_on_save",
    "push_to_view",
    "send_fragment",
    "throttle",
]

_HOMES = {
    "AsyncWorkMixin": "live",
    "Cancelled": "exceptions",
    "Fragment": "fragments",
    "LiveFormView": "forms",
    "LiveView": "views",
    "StreamingMixin": "live",
    "Topic": "regions",
    "UserError": "exceptions",
    "aend_streams": "sessions",
    "anotify": "notices",
    "apush_to_view": "push",
    "asend_fragment": "regions",
    "background": "handlers",
    "debounce": "handlers",
    "end_streams": "sessions",
    "event_handler": "handlers",
    "notify": "notices",
    "push_on_save": "saves",
    "push_to_view": "push",
    "send_fragment": "regions",
    "throttle": "handlers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'htmx_live' has no attribute {name!r}. It offers: {', '.join(__all__)}.")
    return getattr(import_module(f"htmx_live.{_HOMES[name]}"), name)
