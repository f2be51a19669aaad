"""Arguments: the field ``_args`` of an event, JSON of bounded size and depth."""

import json
import math
import re
from typing import Any, Never

from htmx_live.exceptions import ArgumentsTooLarge, MalformedArguments

__all__ = ["parse_arguments"]

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
