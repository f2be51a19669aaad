"""Arguments: the field ``_args`` of an event, JSON of bounded size and depth.

Coercion: what a browser sent becomes what a parameter's annotation says.

A *reader* is built once per parameter and never fails but with ``Rejected``, whose text holds no value: it is logged.
Text of a form field and typed JSON go through the same reader.
"""

import datetime as dt
import json
import math
import re
import types
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from inspect import Parameter
from typing import Any, Literal, Never, Union, get_args, get_origin

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.forms.utils import from_current_timezone
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_time

from htmx_live.core.exceptions import ArgumentsTooLarge, MalformedArguments

__all__ = ["ConversionError", "Converter", "check_storable", "converter_for", "parse_arguments"]


_MAX_INT_TEXT = 41  # a sign and 40 digits, as in coercion
_NESTING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


def parse_arguments(text: str, *, max_size: int, max_depth: int) -> dict[str, Any] | list[Any]:
    """The JSON object or array in an event's field ``_args``; empty text is no arguments.

    ``max_size`` is in bytes of UTF-8 (``ArgumentsTooLarge``), ``max_depth`` counts nested objects and arrays
    (``MalformedArguments``, as for everything else that is not plain JSON, NaN included).
    """
    if len(text) > max_size or len(text.encode("utf-8", "surrogatepass")) > max_size:
        raise ArgumentsTooLarge(f"is larger than {max_size} bytes")
    if not text:
        return {}
    _check_depth(text, max_depth)
    try:
        arguments = json.loads(text, parse_int=_json_int, parse_float=_json_float, parse_constant=_json_constant)
    except ValueError:
        raise MalformedArguments("is no JSON") from None
    if not isinstance(arguments, dict | list):
        raise MalformedArguments("is no JSON object or array")
    return arguments


def _check_depth(text: str, max_depth: int) -> None:
    # Before parsing: the parser recurses.  Up to a first syntax error these tokens are those that it sees.
    depth = 0
    for token in _NESTING.finditer(text):
        character = token[0][0]
        if character in "[{":
            depth += 1
            if depth > max_depth:
                raise MalformedArguments(f"is nested more than {max_depth} deep")
        elif character in "]}":
            depth -= 1


def _json_int(text: str) -> int:
    if len(text) > _MAX_INT_TEXT:
        raise MalformedArguments("holds an integer with too many digits")
    return int(text)


def _json_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedArguments("holds a number that is not finite")
    return number


def _json_constant(text: str) -> Never:
    raise MalformedArguments(f"holds {text}, which is no JSON")


# Past these a number is no input any more: databases refuse it and arithmetic with it is slow.
_MAX_DIGITS = 40
_MAX_NUMBER_TEXT = 100

_INTEGER = re.compile(rf"[+-]?\d{{1,{_MAX_DIGITS}}}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
_UNSTORABLE_CHARACTERS = re.compile("[\x00\ud800-\udfff]")

_TRUE = frozenset({"", "1", "on", "true", "yes", "t", "y"})  # "": a button or box without a value was sent at all
_FALSE = frozenset({"0", "off", "false", "no", "f", "n"})

_ALLOWED_ANNOTATIONS = (
    "str, int, float, bool, Decimal, date, datetime, time, UUID, an Enum, Literal[...], UploadedFile, dict, Any, "
    "list[...] of these, or one of these with None"
)


class ConversionError(ValueError):
    """What was sent does not fit; the text says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """How a parameter reads what was sent for it.

    ``convert`` takes one text, one JSON value, one uploaded file, or a list of them where ``many``.
    ``absent`` makes the value of a field that browsers leave out when it is empty: an unchecked box, a list
    with nothing chosen, no file.
    """

    convert: Callable[[Any], Any]
    many: bool = False
    accepts_files: bool = False
    accepts_form: bool = True
    absent: Callable[[], Any] | None = None


def check_storable(value: Any, *, limit: int) -> None:
    """Raise ``Rejected`` if ``value`` holds what no database keeps: NUL, surrogates, NaN, huge integers, long text.

    ``value`` is a text, a JSON value or a list of texts; ``limit`` is the length of all its texts, in characters.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            limit -= len(item)
            if limit < 0:
                raise ConversionError("is too long")
            if _UNSTORABLE_CHARACTERS.search(item):
                raise ConversionError("contains a NUL character or half of a surrogate pair")
        elif isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            pending += item
        elif isinstance(item, float) and not math.isfinite(item):
            raise ConversionError("is not a finite number")
        elif isinstance(item, int) and abs(item) >= 10**_MAX_DIGITS:
            raise ConversionError(f"has more than {_MAX_DIGITS} digits")


def converter_for(annotation: Any) -> Converter:
    """The reader for one annotation; ``TypeError`` names what is allowed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (Any, object, Parameter.empty):
        return Converter(convert=lambda value: value, accepts_files=True)
    if origin in (Union, types.UnionType):
        return _optional_converter(annotation, [kind for kind in arguments if kind is not type(None)])
    if annotation is list or origin is list:
        item = converter_for(arguments[0] if arguments else Any)
        files_only = not item.accepts_form
        return Converter(
            convert=_list_converter(item), many=True, accepts_files=files_only, accepts_form=not files_only, absent=list
        )
    if origin is Literal:
        return _literal_converter(arguments)
    if annotation is dict or origin is dict:
        return Converter(convert=_to_dict)
    if isinstance(annotation, type):
        if annotation in _SCALARS:
            return Converter(convert=_SCALARS[annotation], absent=bool if annotation is bool else None)
        if issubclass(annotation, Enum):
            return Converter(convert=_enum_converter(annotation))
        if issubclass(annotation, UploadedFile):
            return Converter(convert=_file_converter(annotation), accepts_files=True, accepts_form=False)
    raise TypeError(f"{annotation!r} cannot be read from a browser. Annotate with {_ALLOWED_ANNOTATIONS}.")


def make_optional(converter: Converter) -> Converter:
    """``read``, which also takes None and empty text, as None."""
    return replace(
        converter,
        convert=lambda value: None if value is None or value == "" else converter.convert(value),
        absent=converter.absent if converter.accepts_form else lambda: None,
    )


def _optional_converter(annotation: Any, kinds: list[Any]) -> Converter:
    if len(kinds) != 1:
        raise TypeError(f"{annotation!r} leaves open which type is meant. Annotate with {_ALLOWED_ANNOTATIONS}.")
    return make_optional(converter_for(kinds[0]))


def _list_converter(item: Converter) -> Callable[[Any], list[Any]]:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ConversionError("expected a list")
        items = []
        for part in value:
            try:
                items.append(item.convert(part))
            except ConversionError:
                if part != "":  # the empty choice of a select
                    raise
        return items

    return convert


def _literal_converter(choices: tuple[Any, ...]) -> Converter:
    if not all(
        choice is None or (isinstance(choice, str | int) and not isinstance(choice, Enum)) for choice in choices
    ):
        raise TypeError(f"Literal{list(choices)!r} cannot be read from a browser. Use str, int, bool and None in it.")
    exact = {(type(choice), choice): choice for choice in choices}
    by_text = {str(choice).lower() if isinstance(choice, bool) else str(choice): choice for choice in reversed(choices)}

    def convert(value: Any) -> Any:
        if isinstance(value, str | int) and (type(value), value) in exact:
            return value
        if isinstance(value, str) and value in by_text and by_text[value] is not None:
            return by_text[value]
        raise ConversionError(f"expected one of {', '.join(map(repr, choices))}")

    converter = Converter(convert=convert)
    return make_optional(converter) if None in choices else converter


def _enum_converter(kind: type[Enum]) -> Callable[[Any], Enum]:
    members = dict(kind.__members__) | {str(member.value): member for member in kind}

    def convert(value: Any) -> Enum:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value) in members:
            return members[str(value)]
        raise ConversionError(f"expected one of {', '.join(repr(member.value) for member in kind)}")

    return convert


def _file_converter(kind: "type[UploadedFile[Any]]") -> "Callable[[Any], UploadedFile[Any]]":
    def convert(value: Any) -> "UploadedFile[Any]":
        if isinstance(value, kind):
            return value
        raise ConversionError("expected an uploaded file")

    return convert


def _to_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ConversionError("expected an object")


def _to_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ConversionError("expected text")


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConversionError("expected true or false")


def _to_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, str) and len(value) <= _MAX_NUMBER_TEXT and _INTEGER.fullmatch(value.strip()):
        return int(value)
    raise ConversionError("expected a whole number")


def _to_float(value: Any) -> float:
    number = float(_to_number_text(value))
    if math.isfinite(number):
        return number
    raise ConversionError("expected a finite number")


def _to_decimal(value: Any) -> Decimal:
    number = Decimal(_to_number_text(value))
    if abs(number.adjusted()) <= _MAX_DIGITS:
        return number
    raise ConversionError("expected a number of reasonable size")


def _to_number_text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if isinstance(value, str) and len(value) <= _MAX_NUMBER_TEXT and _NUMBER.fullmatch(value.strip()):
        return value.strip()
    raise ConversionError("expected a number")


def _to_datetime(value: Any) -> dt.datetime:
    """Aware if USE_TZ is on, in the current time zone where none was sent; naive otherwise."""
    moment = _parsing_converter(parse_datetime, "a date with a time, like 2026-01-31T12:30")(value)
    try:
        if timezone.is_naive(timezone.now()) and timezone.is_aware(moment):  # USE_TZ is off
            return timezone.make_naive(moment)
        return from_current_timezone(moment)
    except (ValidationError, OverflowError, ValueError):
        raise ConversionError("does not exist, or exists twice, in the current time zone") from None


def _parsing_converter(parse: Callable[[str], Any], expected: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            found = parse(value.strip()) if isinstance(value, str) and len(value) <= _MAX_NUMBER_TEXT else None
        except ValueError:
            found = None
        if found is None:
            raise ConversionError(f"expected {expected}")
        return found

    return convert


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    str: _to_str,
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    Decimal: _to_decimal,
    dt.date: _parsing_converter(parse_date, "a date, like 2026-01-31"),
    dt.datetime: _to_datetime,
    dt.time: _parsing_converter(parse_time, "a time, like 12:30"),
    uuid.UUID: _parsing_converter(uuid.UUID, "a UUID"),
}
