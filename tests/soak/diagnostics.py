"""What a web process holds: tasks, threads, streams, and the length of every container of the package."""

import asyncio
import gc
import re
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from htmx_live.backends.notice_store import notice_store
from htmx_live.http.stream_hub import current_hub
from htmx_live.progress.store import progress_store
from htmx_live.runtime.services import services

__all__ = ["measure", "objects"]

PACKAGE = "htmx_live"
_DEPTH = 4  # objects of the package inside each other
_CONTAINERS = (dict, list, set, deque)


def measure() -> dict[str, Any]:
    """Called on the event loop."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": Counter(_prefix(thread.name) for thread in threading.enumerate()),
        "streams": len(current_hub()),
        "containers": dict(_containers()),
    }


def objects() -> dict[str, int]:
    """How many objects of each type the garbage collector knows."""
    gc.collect()
    found = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return dict(found.most_common(400))


def _prefix(name: str) -> str:
    """A thread's name without its numbers: ``ThreadPoolExecutor-12_0`` is one of many."""
    return re.sub(r"[-_ ]?\d+(_\d+)?( \(.*\))?$", "", name) or name


def _containers() -> Iterator[tuple[str, int]]:
    """The dotted name and the length of each container that a module or an object of the package holds."""
    seen: set[int] = set()
    roots = {"store": services().store, "progress": progress_store(), "notices": notice_store(), "hub": current_hub()}
    for name, module in [(name, module) for name, module in sys.modules.items() if name.startswith(PACKAGE)]:
        roots.update({f"{name.removeprefix(PACKAGE + '.')}.{key}": value for key, value in list(vars(module).items())})
    for name, value in roots.items():
        yield from _inside(name, value, seen, _DEPTH)


def _inside(name: str, value: Any, seen: set[int], depth: int) -> Iterator[tuple[str, int]]:
    if id(value) in seen or isinstance(value, type):
        return
    if isinstance(value, _CONTAINERS):
        seen.add(id(value))
        yield name, len(value)
    elif type(value).__module__.startswith(PACKAGE) and depth:
        seen.add(id(value))
        for key, inner in _attributes(value):
            yield from _inside(f"{name}.{key}", inner, seen, depth - 1)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(value, name, None) for name in slots if isinstance(name, str)}
    return list({**found, **getattr(value, "__dict__", {})}.items())
