"""What a browser sent, as what an annotation says."""

import datetime as dt
import uuid
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.db.models import TextChoices
from django.test import override_settings
from django.utils import timezone

from htmx_live.events.arguments import ConversionError, check_storable, converter_for


class Size(Enum):
    SMALL = 1
    LARGE = 2


class Color(TextChoices):
    RED = "r", "Red"
    BLUE = "b", "Blue"


UTC = dt.UTC
SOME_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("annotation", "sent", "expected"),
    [
        (str, "", ""),
        (str, "text", "text"),
        (str, 2026, "2026"),
        (int, "7", 7),
        (int, " -7 ", -7),
        (int, 7, 7),
        (int, 7.0, 7),
        (int, 2.0**53, 2**53),
        (int, "7".rjust(100), 7),
        (float, "1.5e3", 1500.0),
        (float, 2, 2.0),
        (float, "1.5".rjust(100), 1.5),
        (bool, "on", True),
        (bool, "True", True),
        (bool, "1", True),
        (bool, "", True),
        (bool, True, True),
        (bool, "off", False),
        (bool, "false", False),
        (bool, 0, False),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, 0.1, Decimal("0.1")),
        (Decimal, "1e40", Decimal("1e40")),
        (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.date, "2026-01-31".rjust(100), dt.date(2026, 1, 31)),
        (dt.time, "12:30", dt.time(12, 30)),
        (dt.datetime, "2026-01-31T12:30", dt.datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (dt.datetime, "2026-01-31T12:30:00Z", dt.datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (uuid.UUID, str(SOME_ID), SOME_ID),
        (Size, "2", Size.LARGE),
        (Size, 2, Size.LARGE),
        (Size, "LARGE", Size.LARGE),
        (Color, "r", Color.RED),
        (Literal["asc", "desc"], "desc", "desc"),
        (Literal[1, 2], "2", 2),
        (Literal[1, True], True, True),
        (Literal[True, False], "true", True),
        (Literal["a", None], "", None),
        (list[int], ["1", "2"], [1, 2]),
        (list[int], ["", "2"], [2]),
        (list[str], ["", "b"], ["", "b"]),
        (list[list[int]], [[1], ["2"]], [[1], [2]]),
        (list, ["1", 2], ["1", 2]),
        (dict[str, Any], {"a": 1}, {"a": 1}),
        (int | None, "", None),
        (int | None, None, None),
        (Union[None, int], "3", 3),  # noqa: UP007
        (list[int] | None, None, None),
        (Any, [1], [1]),
    ],
)
def test_a_fitting_value_becomes_what_the_annotation_says(annotation: Any, sent: Any, expected: Any) -> None:
    read = converter_for(annotation).convert(sent)
    assert (read, type(read)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        (str, None),
        (str, True),
        (str, ["a"]),
        (int, ""),
        (int, "1.5"),
        (int, 1.5),
        (int, 1e300),
        (int, 2.0**53 + 2),
        (int, "7".rjust(101)),
        (int, True),
        (int, "1_000"),
        (int, "٣"),
        (int, "9" * 41),
        (int, None),
        (float, "nan"),
        (float, "inf"),
        (float, "1e999"),
        (bool, "maybe"),
        (bool, 2),
        (bool, None),
        (float, "1.5".rjust(101)),
        (Decimal, "1e41"),
        (Decimal, "1e999999"),
        (Decimal, "0e-999999"),
        (Decimal, "sNaN"),
        (dt.date, "2026-02-30"),
        (dt.date, "31.01.2026"),
        (dt.date, 20260131),
        (dt.date, "2026-01-31".rjust(101)),
        (dt.datetime, "2026-01-31T99:00"),
        (dt.time, "25:00"),
        (uuid.UUID, "no"),
        (Size, "3"),
        (Size, True),
        (Color, "Red"),
        (Literal["asc"], "ASC"),
        (Literal[1], True),
        (list[int], "1"),
        (list[int], ["1", "x"]),
        (dict, []),
        (UploadedFile, "a.txt"),
    ],
)
def test_a_value_that_does_not_fit_is_rejected_without_being_repeated(annotation: Any, sent: Any) -> None:
    with pytest.raises(ConversionError) as caught:
        converter_for(annotation).convert(sent)
    assert str(caught.value).startswith("expected ")


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (dt.date, "a date, like 2026-01-31"),
        (dt.datetime, "a date with a time, like 2026-01-31T12:30"),
        (dt.time, "a time, like 12:30"),
        (uuid.UUID, "a UUID"),
    ],
)
def test_a_rejection_says_what_was_expected(annotation: Any, expected: str) -> None:
    with pytest.raises(ConversionError) as caught:
        converter_for(annotation).convert("x")
    assert str(caught.value) == f"expected {expected}"


@pytest.mark.parametrize(
    "annotation",
    [
        int | str,
        int | str | None,
        object(),
        bytes,
        complex,
        set[int],
        tuple[int, ...],
        list[bytes],
        [int],
        Literal[b"a"],
        "int",
        type,
    ],
)
def test_an_annotation_that_no_browser_can_fill_is_an_error(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"(Annotate with|Use) str, int"):
        converter_for(annotation)


@pytest.mark.parametrize(("annotation", "value"), [(bool, False), (list[int], []), (UploadedFile | None, None)])
def test_what_browsers_leave_out_when_empty_has_a_value_of_its_own(annotation: Any, value: Any) -> None:
    absent = converter_for(annotation).absent
    assert absent is not None
    assert absent() == value


@pytest.mark.parametrize("annotation", [int, str, int | None, dict])
def test_other_fields_are_not_left_out(annotation: Any) -> None:
    assert converter_for(annotation).absent is None


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (UploadedFile, (False, True, False)),
        (list[UploadedFile], (True, True, False)),
        (Any, (False, True, True)),
        (str, (False, False, True)),
    ],
)
def test_files_are_read_from_files_only(annotation: Any, expected: tuple[bool, bool, bool]) -> None:
    read = converter_for(annotation)
    assert (read.many, read.accepts_files, read.accepts_form) == expected


def test_a_list_of_files_is_read() -> None:
    file = SimpleUploadedFile("a.txt", b"a")
    assert converter_for(list[UploadedFile]).convert([file]) == [file]


def test_a_naive_datetime_is_in_the_current_time_zone() -> None:
    with timezone.override("Europe/Berlin"):
        moment = converter_for(dt.datetime).convert("2026-07-01T12:00")
    assert moment == dt.datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_a_time_that_the_clock_skips_is_rejected() -> None:
    with timezone.override("Europe/Berlin"), pytest.raises(ConversionError, match="does not exist"):
        converter_for(dt.datetime).convert("2026-03-29T02:30")


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_without_time_zones_an_aware_datetime_becomes_local() -> None:
    assert converter_for(dt.datetime).convert("2026-07-01T10:00Z") == dt.datetime(2026, 7, 1, 12)


@pytest.mark.parametrize(
    "value",
    ["a\0b", "\ud800", ["ok", "\udfff"], {"a\0": 1}, {"a": ["\0"]}, float("nan"), [float("inf")], 10**40, -(10**40)],
)
def test_what_no_database_keeps_is_rejected_wherever_it_hides(value: Any) -> None:
    with pytest.raises(ConversionError):
        check_storable(value, limit=100)


def test_what_databases_keep_is_not_rejected() -> None:
    check_storable([None, True, 1.5, 10**40 - 1, -(10**40) + 1, {"é": "\n"}], limit=2)


def test_the_length_of_all_texts_together_is_limited() -> None:
    check_storable(["12", {"345": "6"}], limit=6)
    with pytest.raises(ConversionError, match="is too long"):
        check_storable(["12", {"345": "67"}], limit=6)
