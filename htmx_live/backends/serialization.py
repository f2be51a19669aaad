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

__all__ = ["FIELDS", "Unreadable", "decode_record", "encode_record"]


SCHEMA = "1"  # raise it when older code would misread what newer code writes
FIELDS = ("schema", "rev", "view", "pages", "jobs", "head", "state")  # of a hash; ``head`` holds all the rest
_APART = {"rev", "view", "pages", "jobs", "state"}

Read = Callable[[Any], Any]


class Unreadable(ValueError):
    """The fields are not a record of this version."""


def encode_record(record: Record) -> list[str]:
    """The values of ``FIELDS``."""
    head = {name: value for name, default in _head() if (value := getattr(record, name)) != default}
    return [
        SCHEMA,
        str(record.rev),
        record.view,
        " ".join(record.pages),
        _write(record.jobs),
        _write(head),
        _write(record.state),
    ]


def decode_record(values: list[str | None]) -> Record:
    """The record whose ``FIELDS`` have these values; its state is empty when that is None.  Raises ``Unreadable``."""
    schema, rev, view, pages, jobs, head, state = values
    if schema != SCHEMA or rev is None or view is None or pages is None or jobs is None or head is None:
        raise Unreadable(f"The record's schema is {schema!r}, and {SCHEMA!r} is read here.")
    try:
        known = json.loads(head)
        if not isinstance(known, dict) or not _APART.isdisjoint(known):
            raise Unreadable("The record's head is not one.")
        known |= {"rev": int(rev), "view": view, "pages": pages.split(), "jobs": json.loads(jobs)}
        record: Record = _reader(Record)(known | {"state": json.loads(state or "{}")})
    except (RecursionError, TypeError, ValueError) as error:
        raise Unreadable(f"The record cannot be read: {error}") from error
    return record


@cache
def _head() -> tuple[tuple[str, Any], ...]:
    """The fields of ``head`` with their defaults, which are not written."""
    return tuple((one.name, _default(one)) for one in fields(Record) if one.name not in _APART)


def _default(one: Any) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _plain(value: Any) -> Any:
    """What JSON does not know by itself."""
    return dict(value) if isinstance(value, Mapping) else {one.name: getattr(value, one.name) for one in fields(value)}


_write = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


# Readers, one for each type that a record's fields are annotated with


@cache
def _reader(kind: Any) -> Read:
    """What turns a JSON value into a value of ``kind``, or raises ``ValueError``."""
    if kind is Any:
        return lambda value: value
    if kind in (str, int, bool, float):
        return lambda value: value if type(value) is kind else _refuse(kind, value)
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return lambda value: value if value in args else _refuse(kind, value)
    if origin in (Union, UnionType):
        return _union_reader(kind, [_reader(one) for one in args if one is not type(None)])
    if origin in (list, tuple):
        return _sequence_reader(kind, origin, args)
    if origin in (dict, Mapping):
        return _mapping_reader(kind, _reader(args[1]))
    raise TypeError(f"A record has a field of the type {kind}, which cannot be read back. Teach {__name__} to.")


def _dataclass_reader(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = {one.name: _reader(hints[one.name]) for one in fields(kind)}

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or not value.keys() <= readers.keys():
            _refuse(kind, value)
        return kind(**{name: readers[name](item) for name, item in value.items()})  # TypeError when one is missing

    return read


def _union_reader(kind: Any, readers: list[Read]) -> Read:
    """Of ``X | None`` only."""
    [only] = readers
    return lambda value: None if value is None else only(value)


def _sequence_reader(kind: Any, origin: type, args: tuple[Any, ...]) -> Read:
    is_open = origin is list or args[1:] == (...,)
    first = _reader(args[0])
    readers = [_reader(one) for one in args if one is not ...]

    def read(value: Any) -> Any:
        if not isinstance(value, list) or not (is_open or len(value) == len(readers)):
            _refuse(kind, value)
        return origin(map(first, value) if is_open else (one(item) for one, item in zip(readers, value, strict=True)))

    return read


def _mapping_reader(kind: Any, item: Read) -> Read:
    def read(value: Any) -> Any:
        return {name: item(one) for name, one in value.items()} if isinstance(value, dict) else _refuse(kind, value)

    return read


def _refuse(kind: Any, value: Any) -> Any:
    raise Unreadable(f"{str(value)[:40]!r} is no {getattr(kind, '__name__', kind)}")
