"""Rate and predicted end, on times that the test gives."""

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists, tuples

from htmx_live.progress.model import NO_RATE


def test_one_sample_is_no_rate_yet() -> None:
    assert NO_RATE.sampled(10, 100.0).per_second is None


def test_a_steady_pace_is_its_rate_from_the_second_sample_on() -> None:
    rate = NO_RATE.sampled(0, 0.0)
    for second in range(1, 200):
        rate = rate.sampled(second * 7, float(second))
        assert rate.per_second == pytest.approx(7)


def test_a_change_of_pace_is_followed_within_the_window() -> None:
    rate = NO_RATE.sampled(0, 0.0)
    for second in range(1, 101):
        rate = rate.sampled(second * 10, float(second))
    for second in range(1, 31):
        rate = rate.sampled(1000 + second * 100, 100.0 + second)
    assert rate.per_second == pytest.approx(100 - 90 * 2.71828**-1, rel=0.05)


def test_a_prediction_stays_where_it_is_while_estimates_are_near_it() -> None:
    rate = NO_RATE.sampled(0, 0.0).sampled(10, 10.0).predicted(90, 10.0)
    assert rate.ends == 100
    assert rate.sampled(11.5, 11.0).predicted(88.5, 11.0).ends == 100
    assert rate.sampled(200, 11.0).predicted(50, 11.0).ends == pytest.approx(18.0, abs=5)


@given(lists(tuples(floats(-1e6, 1e6), floats(0, 1e9)), max_size=30))
def test_no_order_of_times_and_figures_gives_a_rate_below_nothing(samples: list[tuple[float, float]]) -> None:
    rate = NO_RATE
    for now, current in samples:
        rate = rate.sampled(current, now)
    assert rate.per_second is None or rate.per_second >= 0
