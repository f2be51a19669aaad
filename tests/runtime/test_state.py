"""The state codec: what comes back, what is refused with a name, what a store cannot make it do."""

import datetime as dt
import json
import pickle
import uuid
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.db.models import TextChoices
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from htmx_live.core.exceptions import StateError
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode, decode_state, encode, encode_state
from tests.sample_views import Counter


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Lamp:
    class Light(Enum):
        ON = 1


class Status(TextChoices):
    OPEN = "open"


_PLAIN = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.text() | st.floats(allow_nan=False)
_HASHABLE = (
    _PLAIN
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.timedeltas()
    | st.sampled_from([*Colour, *Level, *Status])
)
_VALUES = st.recursive(
    _HASHABLE,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(_HASHABLE, inner)
        | st.tuples(inner, inner)
        | st.sets(_HASHABLE)
        | st.frozensets(_HASHABLE)
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_a_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    back = decode_state(encode_state({"value": value}))["value"]
    assert (back, type(back)) == (value, type(value))


@given(st.lists(st.text() | st.integers(), unique=True))
def test_equal_sets_have_equal_texts(items: list[Any]) -> None:
    assert encode_state({"a": set(items)}) == encode_state({"a": {*reversed(items)}})


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_numbers_come_back(value: float) -> None:
    assert decode(encode(value)) == value


def test_not_a_number_comes_back_as_such() -> None:
    assert str(decode(encode(float("nan")))) == "nan"


def test_a_finite_number_is_kept_as_json() -> None:
    assert encode([1.5, 7]) == [1.5, 7]


def test_the_longest_integer_that_python_reads_comes_back() -> None:
    assert decode(encode(2**12_999)) == 2**12_999


def test_an_enum_inside_a_class_comes_back() -> None:
    assert decode(encode(Lamp.Light.ON)) is Lamp.Light.ON


def test_a_dict_with_our_own_mark_as_a_key_comes_back() -> None:
    assert decode(encode({"$": "model", "v": 1})) == {"$": "model", "v": 1}


def test_safe_text_stays_safe_and_plain_text_stays_plain() -> None:
    back = decode_state(encode_state({"html": mark_safe("<b>"), "text": "<b>"}))
    assert [type(back["html"]), type(back["text"])] == [SafeString, str]


def test_a_lazy_translation_is_kept_as_its_text() -> None:
    assert decode(encode(gettext_lazy("Yes"))) == "Yes"


def test_an_aware_datetime_keeps_its_instant() -> None:
    moment = dt.datetime(2026, 3, 29, 12, tzinfo=dt.UTC)
    assert decode(encode(moment)) == moment


# What is refused


def _refusal(value: Any) -> str:
    with pytest.raises(StateError) as caught:
        encode_state({"rows": value})
    return str(caught.value)


def test_an_unknown_type_is_refused_with_the_attribute_and_its_type() -> None:
    assert _refusal({"first": [object()]}).startswith("rows['first'] is a builtins.object, which a record cannot keep.")


def test_a_queryset_is_refused_with_the_place_for_it() -> None:
    assert _refusal(User.objects.all()) == (
        "rows is a QuerySet, which a record cannot keep. Return it from get_context_data(), or keep a list."
    )


def test_a_file_is_refused_with_the_place_for_it() -> None:
    assert _refusal(ContentFile(b"a", "a.txt")) == (
        "rows is a file, which a record cannot keep. Keep its name: self.store_upload(file) returns it."
    )


def test_code_is_refused() -> None:
    assert _refusal(len) == (
        "rows is a builtins.builtin_function_or_method: code cannot be kept in a record. Make it a method of the view."
    )


def test_a_single_value_that_is_refused_is_called_value() -> None:
    with pytest.raises(StateError, match=r"^value is a builtins\.object, "):
        encode(object())


def test_an_unsaved_model_instance_is_refused() -> None:
    assert _refusal(User()) == "rows is an unsaved auth.User. Save it first, or keep its fields instead."


def test_an_enum_inside_a_function_is_refused() -> None:
    class Local(Enum):
        ONE = 1

    assert _refusal(Local.ONE).endswith("which cannot be found by that name. Define it at module level.")


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    assert _refusal(value).startswith("rows contains itself, or is nested too deeply")


def test_an_integer_that_cannot_be_read_back_is_refused() -> None:
    assert _refusal({1: {2**20_000}}) == "rows is an integer of 20001 bits, too long to be kept. Keep it as a str."


def test_a_subclass_of_a_container_is_refused_rather_than_changed() -> None:
    assert "collections.OrderedDict" in _refusal(OrderedDict(a=1))


# Model instances


@pytest.fixture
def people(db: None) -> list[User]:
    return [User.objects.create(username=name) for name in ("ada", "ben", "cai")]


def test_model_instances_of_one_model_cost_one_query(people: list[User], django_assert_num_queries: Any) -> None:
    state = encode_state({"first": people[0], "rest": {"all": people}, "pair": (people[1], 2)})
    with django_assert_num_queries(1):
        back = decode_state(state)
    assert back == {"first": people[0], "rest": {"all": people}, "pair": (people[1], 2)}


def test_two_models_cost_two_queries(people: list[User], django_assert_num_queries: Any) -> None:
    state = encode_state({"user": people[0], "group": Group.objects.create(name="staff")})
    with django_assert_num_queries(2):
        decode_state(state)


def test_a_row_that_is_gone_is_none_and_left_out_of_a_list(people: list[User]) -> None:
    state = encode_state({"one": people[0], "all": people, "by": {"x": people[0]}, "pair": (people[0], 1)})
    people[0].delete()
    assert decode_state(state) == {"one": None, "all": people[1:], "by": {"x": None}, "pair": (None, 1)}


def test_a_model_that_is_gone_is_a_row_that_is_gone() -> None:
    assert decode({"$": "model", "t": "shop.gone", "v": 1}) is None


# What a store cannot make it do


@pytest.mark.parametrize(
    "text",
    [
        pickle.dumps(["x"], protocol=0).decode("latin-1"),
        "",
        "{",
        '{"$": "os", "v": "system"}',
        '{"$": ["list"], "v": 1}',
        '{"$": "enum", "t": "os:system", "v": "x"}',
        '{"$": "enum", "t": "tests.runtime.test_state:Colour", "v": "GONE"}',
        '{"$": "enum", "t": "never.imported:Colour", "v": "RED"}',
        '{"$": "datetime", "v": "yesterday"}',
        '{"$": "datetime", "v": 5}',
        '{"$": "decimal", "v": "x"}',
        '{"$": "uuid", "v": null}',
        '{"$": "dict", "v": [1]}',
        '{"$": "dict", "v": [[[], 1]]}',
        '{"$": "set", "v": [[]]}',
        '{"$": "tuple"}',
        '{"$": "timedelta", "v": [1e99]}',
        '{"$": "model", "v": 1}',
        '{"$": "model", "t": "auth.user", "v": []}',
        '{"$": "model", "t": "auth.user", "v": "x"}',
        "[" * 100_000,
    ],
)
def test_what_was_never_written_here_is_a_state_error(text: str) -> None:
    with pytest.raises(StateError):
        decode_state({"value": text})


def test_an_enum_that_is_gone_is_named() -> None:
    with pytest.raises(StateError, match=r"^The enum tests\.runtime\.test_state:Gone of a kept value is gone\.$"):
        decode({"$": "enum", "t": "tests.runtime.test_state:Gone", "v": "RED"})


def test_a_stored_enum_imports_nothing() -> None:
    import sys

    sys.modules.pop("this", None)
    with pytest.raises(StateError):
        decode({"$": "enum", "t": "this:d", "v": "x"})
    assert "this" not in sys.modules


@given(st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("$tva"), inner)))
def test_any_json_is_read_or_refused(value: Any) -> None:
    with suppress(StateError):
        decode_state({"value": json.dumps(value)})


def test_a_uuid_key_finds_its_value() -> None:
    key = uuid.UUID(int=7)
    assert decode(encode({key: Decimal("1.10")})) == {key: Decimal("1.10")}


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["_live", "request", "add", "mount"])
def test_a_kept_state_that_names_what_cannot_be_assigned_is_as_good_as_gone(live: Any, name: str) -> None:
    client = live(Counter)
    loaded = services().store.load(client.instance)
    services().store.create(replace(loaded.record, state={"count": "7", name: '"poison"'}))
    assert (client.click("add").status, client.is_remounted, client.text) == (200, True, "0 Add")
