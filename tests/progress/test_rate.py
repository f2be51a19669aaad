"""Rate and predicted end, on times that the test gives."""

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists, tuples

from htmx_live.progress.model import NO_RATE


def test_one_sample_is_no_rate_yet() -> None:
    assert NO_RATE.with_sample(10, 100.0).per_second is None


def test_a_steady_pace_is_its_rate_from_the_second_sample_on() -> None:
    rate = NO_RATE.with_sample(0, 0.0)
    for second in range(1, 200):
        rate = rate.with_sample(second * 7, float(second))
        assert rate.per_second == pytest.approx(7)


def test_a_change_of_pace_is_followed_within_the_window() -> None:
    rate = NO_RATE.with_sample(0, 0.0)
    for second in range(1, 101):
        rate = rate.with_sample(second * 10, float(second))
    for second in range(1, 31):
        rate = rate.with_sample(1000 + second * 100, 100.0 + second)
    assert rate.per_second == pytest.approx(100 - 90 * 2.71828**-1, rel=0.05)


def test_a_prediction_stays_where_it_is_while_estimates_are_near_it() -> None:
    rate = NO_RATE.with_sample(0, 0.0).with_sample(10, 10.0).with_prediction(90, 10.0)
    assert rate.ends == 100
    assert rate.with_sample(11.5, 11.0).with_prediction(88.5, 11.0).ends == 100
    assert rate.with_sample(200, 11.0).with_prediction(50, 11.0).ends == pytest.approx(18.0, abs=5)


@given(lists(tuples(floats(-1e6, 1e6), floats(0, 1e9)), max_size=30))
def test_no_order_of_times_and_figures_gives_a_rate_below_nothing(samples: list[tuple[float, float]]) -> None:
    rate = NO_RATE
    for now, current in samples:
        rate = rate.with_sample(current, now)
    assert rate.per_second is None or rate.per_second >= 0
