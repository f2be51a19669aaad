"""The Lua scripts of ``RedisStore``: each changes all that belongs together in one step.

They are the files in ``lua/``; each begins with ``common.lua``, which says what the keys hold.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from htmx_live.conf import settings
from htmx_live.redis_connection import PoolName, RedisConnection, Script

__all__ = ["Scripts", "milliseconds"]

_FOLDER = Path(__file__).parent / "lua"


class Scripts:
    """Runs scripts by their names; ``clock`` gives seconds in the place of Redis's own time."""

    def __init__(self, connection: RedisConnection, clock: Callable[[], float] | None) -> None:
        self._connection, self._clock = connection, clock

    def run(self, name: str, *words: str | int, pool: PoolName = "calls") -> Any:
        limits = settings()
        times = map(milliseconds, (limits.STATE_TTL, limits.HIDDEN_TTL, limits.GRANT_MAX_AGE))
        now = "" if self._clock is None else milliseconds(self._clock())
        return self._connection.run(_script(name), [self._connection.key()], [now, *times, *words], pool=pool)


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


@cache
def _script(name: str) -> Script:
    return Script("\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)))
