"""Ticks: live views are called at their interval, each by one process of all.

Every process in which an instance was rendered, or in which a page that shows it has its stream, watches it.  At its
time the process that holds the instance's lease renews it and posts the tick; the others only try to get the lease.
When the holder dies, the lease runs out, and the next to try has it.
"""

import os
from collections.abc import Iterable, Iterator

from htmx_live.core.signing import random_id
from htmx_live.runtime.dispatch import schedule_turn
from htmx_live.runtime.inbox_messages import Tick, coalesce_key, serialize_message
from htmx_live.runtime.services import services, set_tick_callback
from htmx_live.runtime.view import Live, view_path

__all__ = ["post_tick", "release_ticks", "start_ticking_viewed", "ticking_views"]


_PROCESS_TOKEN = random_id()[:16]


def post_tick(instance: str, interval: float = 1.0) -> bool:
    """Post a tick, unless another process does; False when nobody looks at the instance.  ``interval`` is seconds."""
    store = services().store
    if not store.is_viewed(instance):
        release_ticks([instance])
        return False
    if not store.acquire_lock(_lock_name(instance), _lock_holder(), ttl=2 * interval + 2):
        return True
    if not store.enqueue(instance, serialize_message(Tick()), coalesce_key=coalesce_key(Tick())):
        return False
    schedule_turn(instance)
    return True


set_tick_callback(post_tick)


def release_ticks(instances: Iterable[str]) -> None:
    """Leave the ticks of these to others, at once."""
    for instance in instances:
        services().store.release_lock(_lock_name(instance), _lock_holder())


def ticking_views() -> list[type[Live]]:
    """The live views with a ``tick_interval`` whose modules have been imported."""
    return [cls for cls in dict.fromkeys(_subclasses(Live)) if cls.tick_interval]


def start_ticking_viewed(views: Iterable[type[Live]]) -> int:
    """Have every instance of ``views`` ticked that somebody looks at; how many there are."""
    process_services, count = services(), 0
    for cls in views:
        for record in process_services.store.find_by_view(view_path(cls), with_state=False):
            if cls.tick_interval and process_services.store.is_viewed(record.instance):
                process_services.ticker.schedule(record.instance, cls.tick_interval / 1000)
                count += 1
    return count


def _lock_name(instance: str) -> str:
    return f"tick {instance}"


def _lock_holder() -> str:
    return f"{_PROCESS_TOKEN}.{os.getpid()}"  # a server may fork its processes from one in which this was imported


def _subclasses(cls: type[Live]) -> Iterator[type[Live]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
