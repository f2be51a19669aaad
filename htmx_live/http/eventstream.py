"""django-eventstream with our hand-over: a project's ``send_event()`` and stock event URLs go on working, better.

``install()`` replaces the package's listener manager.  A burst of events then reaches every listener (the package keeps
ten per listener and drops the newest), and waking takes one call per event loop instead of one per listener.  The
project's channel managers, storages and views decide as before.  None of the names used here is documented;
``mismatch()`` compares them with what this module expects, and ``install()`` leaves another package alone.

With ``REDIS_URL``, and unless the project has ``EVENTSTREAM_REDIS``, events travel on our bus to all processes:

    send_event ─▶ add_to_queues ─▶ bus ─▶ every process that has listeners ─▶ queue

Events that were sent during an outage of the bus are not on it: listeners then read the project's event storage again.

Channels of live pages are not channels of django-eventstream, even where two have the same name.  A stock stream
hears what ``add_to_queues`` was called with, in this process or in another, and nothing else.
"""

import asyncio
import inspect
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django_eventstream import views
from django_eventstream.event import Event

from htmx_live.backends import bus
from htmx_live.backends.wire import BusMessage, eventstream_channel
from htmx_live.core.conf import project_setting, settings
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable

__all__ = ["BusListenerManager", "find_mismatch", "install"]


logger = logging.getLogger("htmx_live.http")

_MAX_PENDING_EVENTS = 1000  # events per listener and channel
_EVENT, _KICK_EVENT = "eventstream", "eventstream-kick"  # events of our messages that carry the package's

_EXPECTED_METHODS = {
    "add_listener": ("self", "listener"),
    "remove_listener": ("self", "listener"),
    "add_to_queues": ("self", "channel", "event"),
    "kick": ("self", "user_id", "channel"),
}
_LISTENER_ATTRIBUTES: tuple[str, ...] = ("loop", "aevent", "user_id", "channels", "channel_items", "overflow", "error")
_MANAGER_ATTRIBUTES: tuple[str, ...] = ("lock", "listeners_by_channel", "redis_listener", "redis_listener_started")


class BusListenerManager(getattr(views, "ListenerManager", object)):  # type: ignore[misc]
    """The package's listener manager with another ``add_to_queues``; takes the place of ``before``."""

    def __init__(self, before: Any) -> None:
        for name in _MANAGER_ATTRIBUTES:  # not super(), which would connect to Redis once more
            setattr(self, name, getattr(before, name))
        self._subscribed_to: object = None  # the bus that we listen to, and the process in which we do

    def add_listener(self, listener: Any) -> None:
        if _uses_bus():
            source = bus()
            with self.lock:
                before, self._subscribed_to = self._subscribed_to, (source, os.getpid())
            if before != self._subscribed_to:
                source.subscribe(_BusSubscriber(self))
        super().add_listener(listener)

    def add_to_queues(self, channel: str, event: Any) -> None:
        """Queue an event for all listeners of a channel, in all processes; called from any thread."""
        if not _relay(channel, _EVENT, [channel, event.type, event.data, event.id]):
            self.queue_here(channel, event)

    def kick(self, user_id: Any, channel: str) -> None:
        """End a user's streams of a channel, in all processes."""
        if not _relay(channel, _KICK_EVENT, [channel, str(user_id)]):
            super().kick(user_id, channel)

    # In this process

    def queue_here(self, channel: str, event: Any) -> None:
        woken: dict[asyncio.AbstractEventLoop, list[Any]] = {}
        with self.lock:
            for listener in self.listeners_by_channel.get(channel, ()):
                _queue_event(listener, channel, event)
                woken.setdefault(listener.loop, []).append(listener)
        _wake_all(woken)

    def kick_here(self, user: str, channel: str) -> None:
        with self.lock:
            ids = {each.user_id for each in self.listeners_by_channel.get(channel, ()) if str(each.user_id) == user}
        for user_id in ids:
            super().kick(user_id, channel)

    def reload_from_storage(self) -> None:
        """Let all streams read the storage: events may have been missed."""
        woken: dict[asyncio.AbstractEventLoop, list[Any]] = {}
        with self.lock:
            for listener in set().union(*self.listeners_by_channel.values()):
                listener.overflow = True
                woken.setdefault(listener.loop, []).append(listener)
        _wake_all(woken)


class _BusSubscriber:
    """The receiver through which listeners get events from the bus."""

    def __init__(self, listeners: BusListenerManager) -> None:
        self._listeners = listeners

    def deliver(self, channels: tuple[str, ...], message: BusMessage) -> None:
        if message.event == _EVENT:
            channel, kind, content, number = json.loads(message.data)
            self._listeners.queue_here(channel, Event(channel, kind, content, id=number))
        elif message.event == _KICK_EVENT:
            channel, user = json.loads(message.data)
            self._listeners.kick_here(user, channel)

    def resync(self) -> None:
        self._listeners.reload_from_storage()

    def add_channels(self, page: str, channels: tuple[str, ...]) -> None: ...

    def close_streams(self, key: str) -> None: ...


def _uses_bus() -> bool:
    """Whether our bus carries events; a project's ``EVENTSTREAM_REDIS`` goes on doing so itself."""
    return bool(settings().REDIS_URL) and not project_setting("EVENTSTREAM_REDIS")


def _relay(channel: str, event: str, content: list[Any]) -> bool:
    """Whether the bus carries this to all processes; if it should but cannot, the log says so."""
    if not _uses_bus():
        return False
    try:
        bus().publish([eventstream_channel(channel)], "", json.dumps(content, cls=DjangoJSONEncoder), event=event)
    except StoreUnavailable as error:
        message = "What was sent on the channel %r reaches this process only"
        log_unavailable(logger, error, "events of django-eventstream", message, channel)
        return False
    return True


def _queue_event(listener: Any, channel: str, event: Any) -> None:
    """Beyond the bound the oldest goes, for the newest tells how things are now.

    A stored event is left out instead: the stream then reads on in the storage, from the last that it sent.
    """
    items = listener.channel_items.setdefault(channel, [])
    if len(items) < _MAX_PENDING_EVENTS:
        items.append(event)
    elif event.id is None:
        del items[0]
        items.append(event)
    else:
        listener.overflow = True


def _wake_all(woken: dict[asyncio.AbstractEventLoop, list[Any]]) -> None:
    for loop, listeners in woken.items():
        with suppress(RuntimeError):  # what a closed loop raises; its listeners are gone with it
            loop.call_soon_threadsafe(_wake, listeners)


def _wake(listeners: Iterable[Any]) -> None:
    for listener in listeners:
        listener.aevent.set()


def install() -> str:
    """Put ours in place, once; returns why that is not possible, or an empty string."""
    reason = find_mismatch()
    if not reason and not isinstance(views.listener_manager, BusListenerManager):
        views.listener_manager = BusListenerManager(views.listener_manager)
    return reason


def find_mismatch() -> str:
    """In what django-eventstream differs from what we replace; empty when it does not."""
    for name in ("ListenerManager", "Listener", "listener_manager", "get_listener_manager", "stream"):
        if not hasattr(views, name):
            return f"{views.__name__} has no {name}"
    for name, parameters in _EXPECTED_METHODS.items():
        method = getattr(views.ListenerManager, name, None)
        if method is None or tuple(inspect.signature(method).parameters) != parameters:
            return f"django_eventstream.views.ListenerManager.{name} does not take ({', '.join(parameters)})"
    for thing, attributes in ((views.listener_manager, _MANAGER_ATTRIBUTES), (views.Listener(), _LISTENER_ATTRIBUTES)):
        for name in attributes:
            if not hasattr(thing, name):
                return f"django_eventstream.views.{type(thing).__name__} has no {name}"
    return ""
