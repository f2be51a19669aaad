"""``ManualClock``: time that passes when a test says so."""

__all__ = ["ManualClock"]


class ManualClock:
    """Call it for the time in seconds; it begins at ``now``."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"A clock cannot be advanced by {seconds} s: it never runs backwards.")
        self._now += seconds
