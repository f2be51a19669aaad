"""django-eventstream with our hand-over: a project's ``send_event()`` and stock event URLs go on working, better.

``install()`` puts a listener manager of ours in the place of the package's own.  What changes: a burst of events
reaches every listener (the package keeps ten per listener and drops the newest), waking takes one call per loop and
not one per listener, and a project that chose no channel manager is closed to strangers.  None of the names replaced
here is documented; ``mismatch()`` looks whether they are what they were, and if not the package is left alone.
"""

import asyncio
import inspect
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django_eventstream import eventrequest, eventstream, utils, views

__all__ = ["Listeners", "install", "mismatch"]

_CHANNEL_MANAGER = "htmx_live.transport.channels.DenyChannelManager"
_PENDING = 1000  # events per listener and channel

_METHODS = {
    "add_listener": ("self", "listener"),
    "remove_listener": ("self", "listener"),
    "add_to_queues": ("self", "channel", "event"),
    "kick": ("self", "user_id", "channel"),
    "start_redis_listener": ("self",),
}
_LISTENER: tuple[str, ...] = ("loop", "aevent", "user_id", "channels", "channel_items", "overflow", "error")
_MANAGER: tuple[str, ...] = ("lock", "listeners_by_channel", "redis_listener", "redis_listener_started")


class Listeners(getattr(views, "ListenerManager", object)):  # type: ignore[misc]
    """The package's listener manager with another ``add_to_queues``; takes the place of ``before``."""

    def __init__(self, before: Any) -> None:
        for name in _MANAGER:  # not super(), which would connect to Redis once more
            setattr(self, name, getattr(before, name))

    def add_to_queues(self, channel: str, event: Any) -> None:
        """Queue an event for all listeners of a channel; called from any thread."""
        woken: dict[asyncio.AbstractEventLoop, list[Any]] = {}
        with self.lock:
            for listener in self.listeners_by_channel.get(channel, ()):
                _queue(listener, channel, event)
                woken.setdefault(listener.loop, []).append(listener)
        for loop, listeners in woken.items():
            with suppress(RuntimeError):  # what a closed loop raises; its listeners are gone with it
                loop.call_soon_threadsafe(_wake, listeners)


def _queue(listener: Any, channel: str, event: Any) -> None:
    """Beyond the bound the oldest goes, for the newest tells how things are now.

    A stored event is left out instead: the stream then reads on in the storage, from the last that it sent.
    """
    items = listener.channel_items.setdefault(channel, [])
    if len(items) < _PENDING:
        items.append(event)
    elif event.id is None:
        del items[0]
        items.append(event)
    else:
        listener.overflow = True


def _wake(listeners: Iterable[Any]) -> None:
    for listener in listeners:
        listener.aevent.set()


def install() -> str:
    """Put ours in place, once; returns why that is not possible, or an empty string."""
    reason = mismatch()
    if not reason and not isinstance(views.listener_manager, Listeners):
        views.listener_manager = Listeners(views.listener_manager)
        for module in (utils, eventrequest, eventstream):
            module.get_channelmanager = _channel_manager
    return reason


def mismatch() -> str:
    """In what django-eventstream differs from what we replace; empty when it does not."""
    for module, names in (
        (views, ("ListenerManager", "Listener", "listener_manager", "get_listener_manager", "stream")),
        (utils, ("get_class_from_setting", "get_channelmanager")),
        (eventrequest, ("get_channelmanager",)),
        (eventstream, ("get_channelmanager",)),
    ):
        for name in names:
            if not hasattr(module, name):
                return f"{module.__name__} has no {name}"
    for name, parameters in _METHODS.items():
        method = getattr(views.ListenerManager, name, None)
        if method is None or tuple(inspect.signature(method).parameters) != parameters:
            return f"django_eventstream.views.ListenerManager.{name} does not take ({', '.join(parameters)})"
    for thing, attributes in ((views.listener_manager, _MANAGER), (views.Listener(), _LISTENER)):
        for name in attributes:
            if not hasattr(thing, name):
                return f"django_eventstream.views.{type(thing).__name__} has no {name}"
    return ""


def _channel_manager() -> Any:
    return utils.get_class_from_setting("EVENTSTREAM_CHANNELMANAGER_CLASS", _CHANNEL_MANAGER)
