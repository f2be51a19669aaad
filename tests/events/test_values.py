"""Values of a template, as typed JSON."""

import datetime as dt
import uuid
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import TextChoices
from django.template import TemplateSyntaxError
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from htmx_live.events.arguments import converter_for
from htmx_live.events.attributes import to_json, to_json_value


class Color(TextChoices):
    RED = "r", "Red"


class Level(IntEnum):
    HIGH = 3


class Shape(Enum):
    ROUND = object()


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2026, "2026"),
        (1.5, "1.5"),
        ("é</script>", '"é</script>"'),
        (mark_safe("<b>"), '"<b>"'),
        (Text("x"), '"x"'),
        (gettext_lazy("Home"), '"Home"'),
        (Decimal("1.10"), '"1.10"'),
        (dt.date(2026, 1, 31), '"2026-01-31"'),
        (dt.time(12, 30), '"12:30:00"'),
        (dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC), '"2026-01-31T12:00:00+00:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Color.RED, '"r"'),
        (Level.HIGH, "3"),
        (Shape.ROUND, '"ROUND"'),
        (User(pk=7), "7"),
        (SimpleLazyObject(lambda: User(pk=7)), "7"),
        ([1, (Decimal(2),)], '[1,["2"]]'),
        ({"a": {"b": User(pk=7)}}, '{"a":{"b":7}}'),
    ],
)
def test_a_value_keeps_its_type_or_becomes_text(value: Any, text: str) -> None:
    assert to_json({"value": value}) == f'{{"value":{text}}}'


@pytest.mark.parametrize("value", [object(), b"x", AnonymousUser(), {1: 2}, dt.timedelta(1), User.objects, [object()]])
def test_any_other_value_is_an_error_that_names_its_argument(value: Any) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"^row is a .* which cannot be sent to a handler"):
        to_json({"row": value})


def test_a_number_that_is_not_finite_is_an_error_that_names_its_argument() -> None:
    with pytest.raises(TemplateSyntaxError, match=r"^ratio holds a number that is not finite"):
        to_json({"name": "NaN", "ratio": float("nan")})


@pytest.mark.parametrize(
    "value", [Decimal("1.10"), dt.date(2026, 1, 31), dt.time(12), uuid.UUID(int=1), Color.RED, Level.HIGH, Shape.ROUND]
)
def test_a_handler_reads_back_what_a_template_gave(value: Any) -> None:
    assert converter_for(type(value)).convert(to_json_value(value, "value")) == value
