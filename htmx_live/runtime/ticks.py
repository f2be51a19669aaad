"""Ticks: live views are called at their interval, each by one process of all.

Every process in which an instance was rendered, or in which a page that shows it has its stream, watches it.  At its
time the process that holds the instance's lease renews it and posts the tick; the others only try to get the lease.
When the holder dies, the lease runs out, and the next to try has it.
"""

import os
from collections.abc import Iterable, Iterator

from htmx_live.core.signing import random_id
from htmx_live.runtime.dispatch import look_after
from htmx_live.runtime.inbox_messages import Tick, fold_of, write_mail
from htmx_live.runtime.services import give_tick, parts
from htmx_live.runtime.view import Live, view_path

__all__ = ["let_go", "tick", "ticking_views", "watch_shown"]


_TOKEN = random_id()[:16]


def tick(instance: str, interval: float = 1.0) -> bool:
    """Post a tick, unless another process does; False when nobody looks at the instance.  ``interval`` is seconds."""
    store = parts().store
    if not store.is_shown(instance):
        let_go([instance])
        return False
    if not store.hold(_name(instance), _holder(), ttl=2 * interval + 2):
        return True
    if not store.post(instance, write_mail(Tick()), fold=fold_of(Tick())):
        return False
    look_after(instance)
    return True


give_tick(tick)


def let_go(instances: Iterable[str]) -> None:
    """Leave the ticks of these to others, at once."""
    for instance in instances:
        parts().store.let_go(_name(instance), _holder())


def ticking_views() -> list[type[Live]]:
    """The live views with a ``tick_interval`` whose modules have been imported."""
    return [cls for cls in dict.fromkeys(_subclasses(Live)) if cls.tick_interval]


def watch_shown(views: Iterable[type[Live]]) -> int:
    """Have every instance of ``views`` ticked that somebody looks at; how many there are."""
    here, count = parts(), 0
    for cls in views:
        for record in here.store.of_view(view_path(cls), state=False):
            if cls.tick_interval and here.store.is_shown(record.instance):
                here.ticker.watch(record.instance, cls.tick_interval / 1000)
                count += 1
    return count


def _name(instance: str) -> str:
    return f"tick {instance}"


def _holder() -> str:
    return f"{_TOKEN}.{os.getpid()}"  # a server may fork its processes from one in which this was imported


def _subclasses(cls: type[Live]) -> Iterator[type[Live]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
