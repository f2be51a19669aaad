"""Intervals, as people write them."""

import pytest

from htmx_live.core.text import parse_milliseconds


@pytest.mark.parametrize(
    ("written", "unit", "expected"),
    [
        (200, "ms", 200),
        (0.5, "s", 500),
        ("200ms", "s", 200),
        ("0.5s", "ms", 500),
        (" .5 s ", "ms", 500),
        ("200", "ms", 200),
        ("2", "s", 2000),
        (0, "s", 0),
    ],
)
def test_a_written_unit_wins_over_the_unit_of_plain_numbers(written: object, unit: str, expected: int) -> None:
    assert parse_milliseconds(written, unit=unit) == expected


@pytest.mark.parametrize(
    "written", [-1, float("nan"), float("inf"), True, None, "", "soon", "1h", "-1s", "1e3", "٣s", [1]]
)
def test_what_is_no_interval_is_refused_with_the_ways_to_write_one(written: object) -> None:
    with pytest.raises(ValueError, match=r"is no interval\. Write a number of milliseconds .* '200ms' or '0\.5s'\."):
        parse_milliseconds(written)
