"""The field `_args`: bounded JSON."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from htmx_live.core.exceptions import ArgumentError, ArgumentsTooLarge, MalformedArguments
from htmx_live.events.arguments import parse_arguments

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parse(text: str, max_size: int = 100_000, max_depth: int = 10) -> dict[str, Any] | list[Any]:
    return parse_arguments(text, max_size=max_size, max_depth=max_depth)


def test_an_object_and_an_array_keep_their_types() -> None:
    assert parse('{"pk": 7, "flag": true, "rest": [1.5, null]}') == {"pk": 7, "flag": True, "rest": [1.5, None]}
    assert parse("[1, 2]") == [1, 2]


def test_empty_text_is_no_arguments() -> None:
    assert parse("") == {}


@pytest.mark.parametrize("text", ["7", '"x"', "null", "{", "[1,]", "{'a': 1}", "[1] [2]", "\ud800", '{"a": undefined}'])
def test_what_is_no_object_or_array_is_malformed(text: str) -> None:
    with pytest.raises(MalformedArguments) as caught:
        parse(text)
    assert (caught.value.status, caught.value.parameter) == (400, "_args")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 42, "9" * 5000])
def test_a_number_that_no_program_can_use_is_malformed(number: str) -> None:
    with pytest.raises(MalformedArguments):
        parse(f"[{number}]")


@pytest.mark.parametrize("opening", ["[", '{"a":', '["\\"",{"]":'])
def test_deep_nesting_is_refused_before_it_is_parsed(opening: str) -> None:
    with pytest.raises(MalformedArguments, match="nested more than 10 deep"):
        parse(opening * 2000)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse("[" * 10 + "]" * 10) == json.loads("[" * 10 + "]" * 10)


def test_brackets_in_text_are_no_nesting() -> None:
    text = json.dumps(["[[[[[[[[[[[[", '\\"{{{{{{{{{{{{'])
    assert parse(text) == json.loads(text)


def test_the_size_counts_bytes() -> None:
    assert parse('["éé"]', max_size=8) == ["éé"]
    with pytest.raises(ArgumentsTooLarge) as caught:
        parse('["éé"]', max_size=7)
    assert caught.value.status == 413


def test_an_unclosed_text_full_of_quotes_takes_linear_time() -> None:
    with pytest.raises(MalformedArguments):
        parse('["' + '\\"' * 45_000)


@given(JSON)
def test_any_json_is_read_as_json_reads_it_or_is_refused(value: Any) -> None:
    text = json.dumps(value)
    try:
        assert parse(text) == json.loads(text)
    except MalformedArguments:
        assert not isinstance(value, dict | list) or "[[" in text or any(len(word) > 40 for word in text.split())


@given(st.text())
@example('{"a": "' + "\\" * 9)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text), dict | list)
    except ArgumentError as error:
        assert error.status in (400, 413)
