"""Records as fields of a Redis hash: texts and JSON, read back strictly.

What cannot be read, because somebody else has written it or another version of the package, is no record: the
instance is gone, and its page mounts it again.  Reading builds nothing but records.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from htmx_live.core.records import Record

__all__ = ["RECORD_FIELDS", "UnreadableRecord", "decode_record", "encode_record"]


SCHEMA = "1"  # raise it when older code would misread what newer code writes
RECORD_FIELDS = ("schema", "rev", "view", "pages", "jobs", "head", "state")  # of a hash; ``head`` holds all the rest
_SEPARATE_FIELDS = {"rev", "view", "pages", "jobs", "state"}

Decoder = Callable[[Any], Any]


class UnreadableRecord(ValueError):
    """The fields are not a record of this version."""


def encode_record(record: Record) -> list[str]:
    """The values of ``FIELDS``."""
    head = {name: value for name, default in _head_fields() if (value := getattr(record, name)) != default}
    return [
        SCHEMA,
        str(record.rev),
        record.view,
        " ".join(record.pages),
        _dumps(record.jobs),
        _dumps(head),
        _dumps(record.state),
    ]


def decode_record(values: list[str | None]) -> Record:
    """The record whose ``FIELDS`` have these values; its state is empty when that is None.  Raises ``Unreadable``."""
    schema, rev, view, pages, jobs, head, state = values
    if schema != SCHEMA or rev is None or view is None or pages is None or jobs is None or head is None:
        raise UnreadableRecord(f"The record's schema is {schema!r}, and {SCHEMA!r} is read here.")
    try:
        known = json.loads(head)
        if not isinstance(known, dict) or not _SEPARATE_FIELDS.isdisjoint(known):
            raise UnreadableRecord("The record's head is not one.")
        known |= {"rev": int(rev), "view": view, "pages": pages.split(), "jobs": json.loads(jobs)}
        record: Record = _decoder_for(Record)(known | {"state": json.loads(state or "{}")})
    except (RecursionError, TypeError, ValueError) as error:
        raise UnreadableRecord(f"The record cannot be read: {error}") from error
    return record


@cache
def _head_fields() -> tuple[tuple[str, Any], ...]:
    """The fields of ``head`` with their defaults, which are not written."""
    return tuple((one.name, _default_of(one)) for one in fields(Record) if one.name not in _SEPARATE_FIELDS)


def _default_of(one: Any) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _to_json_value(value: Any) -> Any:
    """What JSON does not know by itself."""
    return dict(value) if isinstance(value, Mapping) else {one.name: getattr(value, one.name) for one in fields(value)}


_dumps = json.JSONEncoder(separators=(",", ":"), default=_to_json_value).encode


# Readers, one for each type that a record's fields are annotated with


@cache
def _decoder_for(kind: Any) -> Decoder:
    """What turns a JSON value into a value of ``kind``, or raises ``ValueError``."""
    if kind is Any:
        return lambda value: value
    if kind in (str, int, bool, float):
        return lambda value: value if type(value) is kind else _raise_unreadable(kind, value)
    if is_dataclass(kind):
        return _dataclass_decoder(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return lambda value: value if value in args else _raise_unreadable(kind, value)
    if origin in (Union, UnionType):
        return _union_decoder(kind, [_decoder_for(one) for one in args if one is not type(None)])
    if origin in (list, tuple):
        return _sequence_decoder(kind, origin, args)
    if origin in (dict, Mapping):
        return _mapping_decoder(kind, _decoder_for(args[1]))
    raise TypeError(f"A record has a field of the type {kind}, which cannot be read back. Teach {__name__} to.")


def _dataclass_decoder(kind: Any) -> Decoder:
    hints = get_type_hints(kind)
    decoders = {one.name: _decoder_for(hints[one.name]) for one in fields(kind)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict) or not value.keys() <= decoders.keys():
            _raise_unreadable(kind, value)
        return kind(**{name: decoders[name](item) for name, item in value.items()})  # TypeError when one is missing

    return decode


def _union_decoder(kind: Any, decoders: list[Decoder]) -> Decoder:
    """Of ``X | None`` only."""
    [only] = decoders
    return lambda value: None if value is None else only(value)


def _sequence_decoder(kind: Any, origin: type, args: tuple[Any, ...]) -> Decoder:
    is_open = origin is list or args[1:] == (...,)
    first = _decoder_for(args[0])
    decoders = [_decoder_for(one) for one in args if one is not ...]

    def decode(value: Any) -> Any:
        if not isinstance(value, list) or not (is_open or len(value) == len(decoders)):
            _raise_unreadable(kind, value)
        return origin(map(first, value) if is_open else (one(item) for one, item in zip(decoders, value, strict=True)))

    return decode


def _mapping_decoder(kind: Any, decode_item: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        return (
            {name: decode_item(one) for name, one in value.items()}
            if isinstance(value, dict)
            else _raise_unreadable(kind, value)
        )

    return decode


def _raise_unreadable(kind: Any, value: Any) -> Any:
    raise UnreadableRecord(f"{str(value)[:40]!r} is no {getattr(kind, '__name__', kind)}")
