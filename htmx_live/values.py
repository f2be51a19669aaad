"""Values: what a template may hand to a handler, as typed JSON."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import Model
from django.template import TemplateSyntaxError
from django.utils.functional import Promise
from django.utils.safestring import SafeString

__all__ = ["plain", "to_json", "write"]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(values: Mapping[str, Any]) -> str:
    """``values`` as one JSON object; ``TemplateSyntaxError`` names the one that cannot be sent."""
    return write({name: plain(value, name) for name, value in values.items()})


def write(values: Mapping[str, Any]) -> str:
    """Plain ``values`` as JSON."""
    try:
        return _encode(values)
    except ValueError:
        name = next(name for name, value in values.items() if not _is_finite(value))
        raise TemplateSyntaxError(f"{name} holds a number that is not finite, which JSON cannot say.") from None


def _is_finite(value: Any) -> bool:
    try:
        _encode(value)
    except ValueError:
        return False
    return True


def plain(value: Any, name: str) -> Any:
    """``value`` as JSON values: dates, Decimal, UUID and Enum as text, a model instance by its primary key."""
    kind = type(value)
    if kind in _JSON:
        return value
    if kind in _TEXT:
        return _TEXT[kind](value)
    if kind in (list, tuple, set, frozenset):
        return [plain(item, name) for item in value]
    if isinstance(value, dict) and all(isinstance(word, str) for word in value):
        return {str(word): plain(item, name) for word, item in value.items()}
    if isinstance(value, Model):
        return plain(value.pk, name)
    if isinstance(value, Enum):
        return value.value if type(value.value) in _JSON else value.name
    for base, convert in _FAMILIES:
        if isinstance(value, base):
            return convert(value)
    raise TemplateSyntaxError(
        f"{name} is a {kind.__module__}.{kind.__qualname__}, which cannot be sent to a handler. Give text, a number, "
        "a bool, None, a date or time, Decimal, UUID, Enum, a model instance (by its pk), or a list or dict of these."
    )


_JSON = frozenset({type(None), bool, int, float, str})
_TEXT: dict[type, Callable[[Any], str]] = {
    SafeString: str.__str__,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    Decimal: str,
    uuid.UUID: str,
}
# Subclasses and proxies, tried in this order; a datetime is a date, a bool an int.
_FAMILIES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Promise, str),
    (str, str),
    (dt.date | dt.time, lambda value: value.isoformat()),
    (Decimal | uuid.UUID, str),
    (int, int),
    (float, float),
)
