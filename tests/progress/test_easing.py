"""The simulated percentage, against the curve that it is defined by."""

import pytest
from hypothesis import given
from hypothesis.strategies import floats

from htmx_live.progress.model import completion_percent, simulated_percent

TIMES = floats(min_value=-100, max_value=100_000, allow_nan=False)


@pytest.mark.parametrize(("seconds", "percent"), [(3.6, 10), (12.9, 25), (62.2, 50), (186.8, 75), (236.7, 85)])
def test_the_curve_passes_through_its_known_points(seconds: float, percent: float) -> None:
    assert simulated_percent(seconds) == pytest.approx(percent, abs=0.35)


@given(TIMES, TIMES)
def test_it_never_falls_and_never_passes_85(one: float, other: float) -> None:
    first, second = simulated_percent(min(one, other)), simulated_percent(max(one, other))
    assert 0 <= first <= second <= 85


def test_a_time_before_the_start_is_nothing() -> None:
    assert simulated_percent(-5) == 0


def test_after_the_end_it_climbs_three_points_every_30_ms_to_100() -> None:
    assert [completion_percent(85, at) for at in (0, 0.03, 0.06, 0.15, 60)] == [85, 88, 91, 100, 100]
