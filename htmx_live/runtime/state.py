"""State: how what a view assigns on ``self`` is kept between turns.

State maps attribute names to JSON texts, so that two versions of an attribute are compared, merged and measured
without decoding them.  Values outside JSON are tagged, ``{"$": tag, "v": value}``, from a closed table: nothing in
a store can make Python import or build anything else.

Attributes: which of what a view holds is its state, and which of it ``mount()`` sets.
"""

import datetime as dt
import inspect
import json
import math
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from dis import Instruction, get_instructions
from enum import Enum
from types import CodeType, FunctionType
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.exceptions import StateError

__all__ = ["State", "decode", "decode_state", "encode", "encode_state", "get_state", "names_set_by_mount", "set_state"]


State = dict[str, str]  # attribute name -> JSON text

_dumps = json.JSONEncoder(separators=(",", ":")).encode


def encode_state(values: Mapping[str, Any]) -> State:
    """Attributes as JSON texts; ``StateError`` names the attribute that cannot be kept, and what to do instead."""
    return {name: _dumps(encode(value, name)) for name, value in values.items()}


def decode_state(state: Mapping[str, str]) -> dict[str, Any]:
    """Attributes as Python values.  Model instances cost one query per model; those that are gone are None.

    ``StateError`` for what ``encode_state`` never wrote, or wrote for classes that are gone since.
    """
    with _raising_state_error():
        loaded = {name: json.loads(text) for name, text in state.items()}
        rows = _ModelRows(loaded.values())
        return {name: _decode(value, rows) for name, value in loaded.items()}


def encode(value: Any, name: str = "value") -> Any:
    """``value`` as JSON values; ``name`` is what an error calls it."""
    try:
        return _encode(value, name)
    except RecursionError:
        raise StateError(f"{name} contains itself, or is nested too deeply to be kept. Keep a flatter value.") from None


def decode(value: Any) -> Any:
    """The Python value that ``encode`` made ``value`` of; ``StateError`` as in ``decode_state``."""
    with _raising_state_error():
        return _decode(value, _ModelRows([value]))


_DECODING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    ValidationError,
)


@contextmanager
def _raising_state_error() -> Iterator[None]:
    try:
        yield
    except _DECODING_ERRORS as error:
        raise StateError(f"A kept value cannot be read: {type(error).__name__}: {error}") from error


def _encode(value: Any, name: str) -> Any:
    kind = type(value)
    if kind in _JSON_TYPES:
        return value
    if kind is int:
        return _encode_int(value, name)
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        return encoder(value, name)
    for base, tagged in _BASE_ENCODERS:
        if isinstance(value, base):
            return tagged(value, name)
    raise StateError(_unsupported_message(value, name))


def _encode_int(value: int, name: str) -> Any:
    if value.bit_length() > _MAX_INT_BITS:
        raise StateError(f"{name} is an integer of {value.bit_length()} bits, too long to be kept. Keep it as a str.")
    return value


def _encode_float(value: float, name: str) -> Any:
    return value if math.isfinite(value) else {"$": "float", "v": repr(value)}


def _encode_list(value: list[Any], name: str) -> Any:
    return [_encode(item, name) for item in value]


def _encode_dict(value: dict[Any, Any], name: str) -> Any:
    if all(type(key) is str for key in value) and "$" not in value:
        return {key: _encode(item, f"{name}[{key!r}]") for key, item in value.items()}
    return {"$": "dict", "v": [[_encode(key, name), _encode(item, name)] for key, item in value.items()]}


def _encode_set(value: set[Any], name: str) -> Any:
    # Sorted, so that equal sets have equal texts.
    return {"$": "set", "v": sorted((_encode(item, name) for item in value), key=json.dumps)}


def _encode_model(value: Model, name: str) -> Any:
    if value.pk is None:
        raise StateError(f"{name} is an unsaved {value._meta.label}. Save it first, or keep its fields instead.")
    return {"$": "model", "t": value._meta.label_lower, "v": _encode(value.pk, name)}


def _encode_enum(value: Enum, name: str) -> Any:
    kind = type(value)
    path = f"{kind.__module__}:{kind.__qualname__}"
    if _enum_class(path) is not kind:
        raise StateError(
            f"{name} is a member of {path}, which cannot be found by that name. Define it at module level."
        )
    return {"$": "enum", "t": path, "v": value.name}


def _unsupported_message(value: Any, name: str) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, QuerySet):
        return f"{name} is a QuerySet, which a record cannot keep. Return it from get_context_data(), or keep a list."
    if isinstance(value, File):
        return f"{name} is a file, which a record cannot keep. Keep its name: self.store_upload(file) returns it."
    if callable(value):
        return f"{name} is a {kind}: code cannot be kept in a record. Make it a method of the view."
    return (
        f"{name} is a {kind}, which a record cannot keep. Keep its parts as None, bool, int, float, str, list, dict, "
        "tuple, set, date, time, datetime, timedelta, Decimal, UUID, Enum or saved model instances, "
        "or compute it in get_context_data()."
    )


def _tagging_encoder(tag: str, to_json: Callable[[Any], Any]) -> Callable[[Any, str], Any]:
    return lambda value, name: {"$": tag, "v": to_json(value)}


_MAX_INT_BITS = 13_000  # Python refuses to read or write integers of more than 4300 digits
_JSON_TYPES = frozenset({type(None), bool, str})
_ENCODERS: dict[type, Callable[[Any, str], Any]] = {
    float: _encode_float,
    list: _encode_list,
    dict: _encode_dict,
    set: _encode_set,
    frozenset: lambda value, name: _encode_set(value, name) | {"$": "frozenset"},
    tuple: lambda value, name: {"$": "tuple", "v": _encode_list(value, name)},
    SafeString: _tagging_encoder("safe", str.__str__),
    dt.datetime: _tagging_encoder("datetime", dt.datetime.isoformat),
    dt.date: _tagging_encoder("date", dt.date.isoformat),
    dt.time: _tagging_encoder("time", dt.time.isoformat),
    dt.timedelta: _tagging_encoder("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: _tagging_encoder("decimal", str),
    uuid.UUID: _tagging_encoder("uuid", str),
}
# Types with subclasses of the user's own, in the order in which they are tried.
_BASE_ENCODERS: tuple[tuple[type, Callable[[Any, str], Any]], ...] = (
    (Enum, _encode_enum),
    (Model, _encode_model),
    (Promise, lambda value, name: str(value)),
)

_MISSING = object()  # a model row that is gone


class _ModelRows:
    """The model rows that encoded values refer to, one query per model."""

    def __init__(self, values: Iterable[Any]) -> None:
        wanted: dict[str, list[Any]] = {}
        for value in values:
            _collect_model_pks(value, wanted)
        self._found = {label: _fetch_rows(label, pks) for label, pks in wanted.items()}

    def get(self, label: str, pk: Any) -> Any:
        return self._found[label].get(pk, _MISSING)


def _collect_model_pks(value: Any, pks_by_model: dict[str, list[Any]]) -> None:
    if isinstance(value, list):
        for item in value:
            _collect_model_pks(item, pks_by_model)
    elif isinstance(value, dict):
        if value.get("$") == "model":
            pks_by_model.setdefault(value["t"], []).append(_decode_plain(value["v"]))
        else:
            for item in value.values():
                _collect_model_pks(item, pks_by_model)


def _fetch_rows(label: str, pks: list[Any]) -> dict[Any, Model]:
    try:
        model = apps.get_model(label)
    except LookupError:
        return {}
    return {row.pk: row for row in model._base_manager.filter(pk__in=set(pks))}


def _decode(value: Any, rows: _ModelRows) -> Any:
    if isinstance(value, list):
        return _decode_items(value, rows)
    if not isinstance(value, dict):
        return value
    tag = value.get("$")
    if tag is None:
        return {key: _decode(item, rows) for key, item in value.items()}
    if tag == "model":
        row = rows.get(value["t"], _decode_plain(value["v"]))
        return None if row is _MISSING else row
    if tag == "tuple":  # its places have meanings: a row that is gone leaves None
        return tuple(_decode(item, rows) for item in value["v"])
    if tag in _SETS:
        return _SETS[tag](_decode_items(value["v"], rows))
    if tag == "dict":
        return {_decode(key, rows): _decode(item, rows) for key, item in value["v"]}
    return _decode_plain(value)


def _decode_items(values: list[Any], rows: _ModelRows) -> list[Any]:
    items = []
    for value in values:
        if isinstance(value, dict) and value.get("$") == "model":
            row = rows.get(value["t"], _decode_plain(value["v"]))
            if row is not _MISSING:
                items.append(row)
        else:
            items.append(_decode(value, rows))
    return items


def _decode_plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value["$"] == "enum":
        kind = _enum_class(value["t"])
        if kind is None:
            raise StateError(f"The enum {value['t']} of a kept value is gone.")
        return kind[value["v"]]
    try:
        decoder = _DECODERS[value["$"]]
    except KeyError:
        raise StateError(f"A kept value has the unknown tag {value['$']!r}.") from None
    return decoder(value["v"])


def _enum_class(path: str) -> type[Enum] | None:
    """The Enum at ``module:Qualified.Name``, among modules that are loaded already: a record never imports one."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Enum) else None


_SETS: dict[str, Callable[[list[Any]], Any]] = {"set": set, "frozenset": frozenset}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "safe": mark_safe,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda value: dt.timedelta(*value),
    "decimal": Decimal,
    "uuid": uuid.UUID,
}


def get_state(view: Any) -> dict[str, Any]:
    """The attributes of ``view`` that its record keeps."""
    cls = type(view)
    # A class attribute with __get__ owns its name: cached_property writes past __setattr__.
    return {
        name: value
        for name, value in vars(view).items()
        if name not in ("_live", "_skip_render") and not hasattr(getattr(cls, name, None), "__get__")
    }


def set_state(view: Any, state: Mapping[str, str]) -> None:
    """Set encoded attributes; ``StateError`` for names that no view's code could have assigned."""
    reserved = type(view)._reserved_names.intersection(state)
    if reserved:
        raise StateError(
            f"The kept state of {type(view).__qualname__} names {sorted(reserved)}, which cannot be assigned."
        )
    view.__dict__.update(decode_state(state))


def names_set_by_mount(cls: type) -> frozenset[str]:
    """The names that ``mount()`` may assign on ``self``, without those that the class has a default for.

    Found in the bytecode of ``mount()``, of the methods that it calls on ``self``, and of the base classes' methods
    that these extend.  Unlike the source, the bytecode is always that of the running code.  What is assigned in one
    branch only, or with ``setattr()``, cannot be told: see ``Record.unset``.
    """
    names = _names_set_by(cls, "mount", set())
    return frozenset(name for name in names if name not in ("_live", "_skip_render") and not hasattr(cls, name))


def _names_set_by(cls: type, method: str, seen: set[str]) -> Iterator[str]:
    seen.add(method)
    for base in cls.__mro__:
        function = vars(base).get(method)
        if not isinstance(function, FunctionType):
            continue
        code = inspect.unwrap(function).__code__
        for step in _instructions_on_self(code):
            if step.opname == "STORE_ATTR":
                yield step.argval
            elif _is_method_call(step) and step.argval not in seen:
                yield from _names_set_by(cls, step.argval, seen)
        if method not in code.co_names:  # it does not call super()
            return


def _instructions_on_self(code: CodeType) -> Iterator[Instruction]:
    """The instructions that follow one which loads the first argument."""
    own = code.co_varnames[:1]
    before: Any = None
    for step in get_instructions(code):
        if step.opname == "EXTENDED_ARG":
            continue
        if (before,) == own:
            yield step
        # Some instructions load two names at once.
        before = step.argval[-1] if isinstance(step.argval, tuple) and step.argval else step.argval


def _is_method_call(step: Instruction) -> bool:
    return step.opname == "LOAD_METHOD" or (step.opname == "LOAD_ATTR" and "NULL|self" in step.argrepr)
