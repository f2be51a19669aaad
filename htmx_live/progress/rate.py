"""Rate: how fast a task goes, and when it will have ended.

The rate is an average in which what happened ``WINDOW`` seconds ago weighs a third of what happens now.  The predicted
end stays where it is as long as the newest estimate is near it, so that the time left counts down instead of jumping.
Time is an argument, in seconds on any one clock.

Source: exponential moving average of irregular samples, weight ``1 - exp(-dt / WINDOW)``.
"""

from dataclasses import dataclass, replace
from math import exp

__all__ = ["NO_RATE", "WINDOW", "Rate"]

WINDOW = 30.0  # seconds

_NEAR = 0.1  # of the time left: an estimate that differs by less does not move the end
_NEAR_SECONDS = 2.0
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True)
class Rate:
    """Units per second; ``weight`` is how much of the window has been seen, from 0 to 1.

    ``at`` and ``current`` are the last sample, ``ends`` the predicted end; both times are None before there is one.
    """

    value: float = 0.0
    weight: float = 0.0
    at: float | None = None
    current: float = 0.0
    ends: float | None = None

    @property
    def per_second(self) -> float | None:
        """The average, None before two samples were seen."""
        return self.value / self.weight if self.weight > 0 else None

    def sampled(self, current: float, now: float) -> "Rate":
        """With one more sample.  A clock that went back begins a new interval and adds nothing."""
        if self.at is None or now < self.at:
            return replace(self, at=now, current=current)
        if now - self.at < _SHORTEST:  # what is done in no time is counted with the next interval
            return self
        share = 1 - exp(-(now - self.at) / WINDOW)
        speed = max(current - self.current, 0.0) / (now - self.at)
        return replace(
            self,
            value=self.value + share * (speed - self.value),
            weight=self.weight + share * (1 - self.weight),
            at=now,
            current=current,
        )

    def predicted(self, left: float, now: float) -> "Rate":
        """With the predicted end for ``left`` units that are still to do."""
        speed = self.per_second
        if not speed:
            return replace(self, ends=None)
        ends = now + max(left, 0.0) / speed
        near = max(_NEAR_SECONDS, _NEAR * (ends - now))
        if self.ends is not None and self.ends > now and abs(ends - self.ends) <= near:
            return self
        return replace(self, ends=ends)


NO_RATE = Rate()
