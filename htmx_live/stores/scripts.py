"""The Lua scripts of ``RedisStore``: each changes all that belongs together in one step.

They are the files in ``lua/``; each begins with ``common.lua``, which says what the keys hold.
"""

from functools import cache
from pathlib import Path

from htmx_live.redis_connection import Script

__all__ = ["script"]

_FOLDER = Path(__file__).parent / "lua"


@cache
def script(name: str) -> Script:
    return Script("\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)))
