"""Easing: how far a task whose extent nobody knows is shown to be.

From the start, every 0.15 s, ``p = min(p + max(0.5 * ((85 - p) / 85) ** 3, 0.03), 85)``: quick at first, never above 85
while it runs.  When it has ended the bar climbs by 3 points every 0.03 s.  Both are pure functions of times, so that
every process shows the same without writing anything.
"""

from functools import cache

__all__ = ["CEILING", "climbed", "simulated"]

CEILING = 85.0

_STEP = 0.15  # seconds
_CLIMB = 3.0  # points
_CLIMB_STEP = 0.03  # seconds


def simulated(elapsed: float) -> float:
    """Percent after ``elapsed`` seconds of running; 0 for a time before the start."""
    curve = _curve()
    step = min(max(elapsed, 0.0) / _STEP, len(curve) - 1)
    return curve[int(step + 1e-9)]


def climbed(percent: float, since_end: float) -> float:
    """Percent ``since_end`` seconds after a task that stood at ``percent`` was completed."""
    return min(percent + _CLIMB * int(max(since_end, 0.0) / _CLIMB_STEP + 1e-9), 100.0)


@cache
def _curve() -> tuple[float, ...]:
    """Percent after 0, 1, 2, … steps, until the ceiling."""
    points = [0.0]
    while points[-1] < CEILING:
        last = points[-1]
        points.append(min(last + max(0.5 * ((CEILING - last) / CEILING) ** 3, 0.03), CEILING))
    return tuple(points)
