"""Live Django pages without writing JavaScript.

The names that a project's views need.  They are loaded when first used: this package is imported before Django's apps
are ready.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htmx_live.core.exceptions import Cancelled, UserError
    from htmx_live.core.fragments import Fragment
    from htmx_live.events.handlers import background, debounce, event_handler, throttle
    from htmx_live.http.sessions import aend_streams, end_streams
    from htmx_live.messaging.model_updates import push_on_save
    from htmx_live.messaging.notifications import anotify, notify
    from htmx_live.messaging.push import apush_to_view, push_to_view
    from htmx_live.messaging.regions import Topic, asend_fragment, region, send_fragment
    from htmx_live.runtime.view import AsyncWorkMixin, StreamingMixin
    from htmx_live.views.form_view import LiveFormView
    from htmx_live.views.live_view import LiveView

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
    "region",
    "send_fragment",
    "throttle",
]

_HOMES = {
    "AsyncWorkMixin": "runtime.view",
    "Cancelled": "core.exceptions",
    "Fragment": "core.fragments",
    "LiveFormView": "views.form_view",
    "LiveView": "views.live_view",
    "StreamingMixin": "runtime.view",
    "Topic": "messaging.regions",
    "UserError": "core.exceptions",
    "aend_streams": "http.sessions",
    "anotify": "messaging.notifications",
    "apush_to_view": "messaging.push",
    "asend_fragment": "messaging.regions",
    "background": "events.handlers",
    "debounce": "events.handlers",
    "end_streams": "http.sessions",
    "event_handler": "events.handlers",
    "notify": "messaging.notifications",
    "push_on_save": "messaging.model_updates",
    "push_to_view": "messaging.push",
    "region": "messaging.regions",
    "send_fragment": "messaging.regions",
    "throttle": "events.handlers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'htmx_live' has no attribute {name!r}. It offers: {', '.join(__all__)}.")
    return getattr(import_module(f"htmx_live.{_HOMES[name]}"), name)
