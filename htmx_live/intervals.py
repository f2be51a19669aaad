"""Intervals: durations as people write them, read as whole milliseconds."""

import math
import re
from typing import Literal

__all__ = ["milliseconds"]

_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|)\s*", re.ASCII)
_FACTOR = {"ms": 1, "s": 1000}


def milliseconds(value: object, *, unit: Literal["ms", "s"] = "ms") -> int:
    """``value`` in milliseconds: ``"200ms"``, ``"0.5s"``, or a number of ``unit``; ``ValueError`` for anything else."""
    number, written = value, unit
    if isinstance(value, str) and (match := _WRITTEN.fullmatch(value)):
        number, written = float(match[1]), match[2] or unit  # type: ignore[assignment]
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) and number >= 0:
        return round(number * _FACTOR[written])
    word = {"ms": "milliseconds", "s": "seconds"}[unit]
    raise ValueError(f"{value!r} is no interval. Write a number of {word} that is not negative, '200ms' or '0.5s'.")
