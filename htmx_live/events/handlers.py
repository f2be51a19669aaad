"""Handlers: the methods that a view offers to browsers, and how an event's arguments reach their parameters.

The decorators only mark a function.  ``registry`` collects the marked ones of a class into a closed table, which is
the only way from a name on the wire to a method; ``bind`` turns what was sent into keyword arguments.

Signatures: which parameters a handler declares, and which functions can be one.
"""

import builtins
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType, MappingProxyType
from typing import Any, Never, TypeVar, get_type_hints, overload

from asgiref.sync import iscoroutinefunction
from django.core.files.uploadedfile import UploadedFile

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import ArgumentError, UnknownHandler
from htmx_live.core.text import parse_milliseconds
from htmx_live.events.arguments import (
    ConversionError,
    Converter,
    check_storable,
    converter_for,
    make_optional,
    parse_arguments,
)

__all__ = [
    "Handler",
    "Parameter",
    "accepts_kwargs",
    "background",
    "bind_arguments",
    "check_background_parameters",
    "check_handler_function",
    "collect_handlers",
    "collect_parameters",
    "debounce",
    "event_handler",
    "function_label",
    "parameter_names",
    "parse_arguments",
    "throttle",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One declared parameter.  ``by_position`` is false for a keyword-only one."""

    name: str
    converter: Converter
    is_required: bool
    is_positional: bool = True


def function_label(function: Any) -> str:
    """What an error calls ``function``."""
    return f"{getattr(function, '__qualname__', function)}()"


def parameter_names(function: Any) -> list[str]:
    """The names of the parameters, without ``self`` and ``**kwargs``."""
    return [parameter.name for parameter in _parameters(function) if parameter.kind is not parameter.VAR_KEYWORD]


def accepts_kwargs(function: Any) -> bool:
    """Whether ``function`` has ``**kwargs``."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(function))


def check_handler_function(function: Any, decorator: str) -> None:
    """Raise ``TypeError`` unless ``function`` is a method that keyword arguments can fill."""
    is_function = isinstance(function, FunctionType) or hasattr(function, "__wrapped__")
    if not is_function or isinstance(function, staticmethod | classmethod):
        raise TypeError(f"{decorator} got {function!r}. It decorates a method: def name(self, …).")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{function_label(function)} is a generator, which nobody would iterate. "
            "Use stream_text() or flush() in a plain function instead of yield."
        )
    if function.__name__.startswith("_"):
        raise TypeError(f"{function_label(function)} cannot be a handler: its name begins with an underscore.")
    if next(iter(inspect.signature(function).parameters), None) != "self":
        raise TypeError(f"{function_label(function)} needs self as its first parameter.")
    for parameter in _parameters(function):
        _check_parameter(function, parameter)


def check_background_parameters(function: Any, parameters: Iterable[Parameter]) -> None:
    """Raise ``TypeError`` if a job would be given a file that ends with its request."""
    for parameter in parameters:
        if not parameter.converter.accepts_form:
            raise TypeError(
                f"{function_label(function)} is a @background handler, and its parameter {parameter.name} is an "
                "uploaded file, which is gone when the job runs. Take the file in a plain handler, and hand its name "
                "to a job: self.start_async(self._work, self.store_upload(file))."
            )


def collect_parameters(function: Any, *, namespace: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The declared parameters with their readers; ``TypeError`` names the one whose annotation cannot be read.

    ``names`` are those of the function's class, which an annotation written as text may use beside the module's.
    """
    annotations = _evaluate_annotations(function, namespace)
    return tuple(
        _build_parameter(function, parameter, annotations.get(parameter.name, inspect.Parameter.empty))
        for parameter in _parameters(function)
        if parameter.kind is not parameter.VAR_KEYWORD
    )


def _parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def _check_parameter(function: Any, parameter: inspect.Parameter) -> None:
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
        raise TypeError(
            f"{function_label(function)}: {parameter} cannot be filled, for arguments come by name. Declare "
            "plain parameters, and **kwargs for the rest; let a decorator of your own keep them with functools.wraps."
        )
    if parameter.name.startswith("_"):
        raise TypeError(
            f"{function_label(function)}: {parameter.name}: fields whose names begin with an underscore are the "
            "library's. Rename the parameter."
        )


def _build_parameter(function: Any, parameter: inspect.Parameter, annotation: Any) -> Parameter:
    try:
        converter = converter_for(annotation)
    except TypeError as error:
        raise TypeError(f"{function_label(function)}: {parameter.name}: {error}") from None
    return Parameter(
        name=parameter.name,
        converter=make_optional(converter)
        if parameter.default is None and annotation is not parameter.empty
        else converter,
        is_required=parameter.default is parameter.empty,
        is_positional=parameter.kind is not parameter.KEYWORD_ONLY,
    )


def _evaluate_annotations(function: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of the declared parameters, with those that are text evaluated."""

    def bearer() -> None: ...

    bearer.__annotations__ = {
        parameter.name: parameter.annotation
        for parameter in _parameters(function)
        if parameter.annotation is not parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    module = getattr(inspect.unwrap(function), "__globals__", {})
    # A handler may be called `list` or `date`: what the module and Python call so comes first.
    nested = {name: value for name, value in namespace.items() if name not in module and not hasattr(builtins, name)}
    try:
        return get_type_hints(bearer, module, nested)
    except Exception as error:  # whatever evaluating text can raise, told with the handler's name
        raise TypeError(
            f"{function_label(function)}: an annotation cannot be evaluated: {error}. "
            "Import its type in the module of the view, outside of `if TYPE_CHECKING:`."
        ) from error


F = TypeVar("F", bound=Callable[..., Any])

_MARKS = "_htmx_live_marks"
_MAX_NAME = 100  # characters of a field's name that reaches **kwargs
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One method that a browser may call, as ``function(view, **arguments)``.

    ``takes_rest``: it has ``**kwargs``.  ``key`` is the parameter that tells its background jobs apart.
    ``modifier`` is what ``hx-trigger`` gets: ``"delay:500ms"``, ``"throttle:1000ms"`` or ``""``.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    parameters: tuple[Parameter, ...] = ()
    accepts_kwargs: bool = False
    is_background: bool = False
    key: str | None = None
    modifier: str = ""


# Marking


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandlerMarks:
    offered: bool = False
    background: bool = False
    key: str | None = None
    modifier: str | None = None


@overload
def event_handler(function: F) -> F: ...
@overload
def event_handler() -> Callable[[F], F]: ...
def event_handler(function: Any = None) -> Any:
    """Offer a method to browsers, under its name and with its declared parameters."""
    return _mark_with(function, "@event_handler", offered=True)


@overload
def background(function: F) -> F: ...
@overload
def background(*, key: str | None = None) -> Callable[[F], F]: ...
def background(function: Any = None, *, key: str | None = None) -> Any:
    """Run the whole handler as a background job named after it.

    A job that runs is replaced by the next one; with ``key="pk"`` only by one with an equal argument ``pk``.
    """
    return _mark_with(function, "@background", background=True, key=key)


def debounce(wait: float | str) -> Callable[[F], F]:
    """Call the handler once ``wait`` seconds (or ``"500ms"``) have passed without another event."""
    return _add_modifier("debounce(wait=0.5)", "delay", wait)


def throttle(interval: float | str) -> Callable[[F], F]:
    """Call the handler at most once in ``interval`` seconds (or ``"500ms"``)."""
    return _add_modifier("throttle(interval=1)", "throttle", interval)


def _add_modifier(usage: str, modifier: str, seconds: Any) -> Callable[[F], F]:
    if callable(seconds):
        raise TypeError(f"@{usage.partition('(')[0]} needs an interval in seconds: write @{usage}.")
    length = parse_milliseconds(seconds, unit="s")

    def mark(function: F) -> F:
        if _marks_of(function).modifier is not None:
            raise TypeError(f"{function_label(function)} is debounced or throttled already. Choose one of the two.")
        return _mark(function, f"@{usage}", modifier=f"{modifier}:{length}ms" if length else "")

    return mark


def _mark_with(function: Any, decorator: str, **changes: Any) -> Any:
    if function is None:
        return lambda function: _mark(function, decorator, **changes)
    return _mark(function, decorator, **changes)


def _mark(function: F, decorator: str, **changes: Any) -> F:
    check_handler_function(function, decorator)
    marks = replace(_marks_of(function), **changes)
    if marks.key is not None and marks.key not in parameter_names(function):
        raise TypeError(
            f"@background(key={marks.key!r}): {function_label(function)} has no parameter {marks.key!r}. "
            f"It has: {', '.join(parameter_names(function)) or 'none'}."
        )
    setattr(function, _MARKS, marks)
    return function


def _marks_of(attribute: Any) -> _HandlerMarks:
    # Neither isinstance nor getattr: a lazy object in a class body must stay unevaluated.
    if issubclass(type(attribute), staticmethod | classmethod):
        attribute = attribute.__func__
    try:
        marks = object.__getattribute__(attribute, "__dict__").get(_MARKS)
    except AttributeError:
        marks = None
    return marks if isinstance(marks, _HandlerMarks) else _HandlerMarks()


# The registry


class _HandlerTable(dict[str, Handler]):
    """A table that says what it offers when a name is not in it."""

    def __init__(self, view: str) -> None:
        self.view = view

    def __missing__(self, name: str) -> Never:
        raise UnknownHandler(self.view, str(name), self)


def collect_handlers(cls: type) -> Mapping[str, Handler]:
    """The handlers of ``cls`` by name, inherited ones included; read-only.  A lookup raises ``UnknownHandler``.

    An override without ``@event_handler`` takes the name away.  ``TypeError`` says what is wrong with a handler.
    """
    handlers = _HandlerTable(cls.__qualname__)
    for name, attribute in _visible_attributes(cls):
        marks = _marks_of(attribute)
        if marks.offered:
            _check_name(cls, name)
            handlers[name] = _build_handler(cls, name, attribute)
        elif marks != _HandlerMarks():
            raise TypeError(
                f"{cls.__qualname__}.{name} is marked with @background, @debounce or @throttle alone. "
                "Add @event_handler to offer it, or start it with start_async() where it is not for browsers."
            )
    return MappingProxyType(handlers)


def _visible_attributes(cls: type) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for base in cls.__mro__:
        for name, attribute in vars(base).items():
            if name not in seen:
                seen.add(name)
                yield name, attribute


def _check_name(cls: type, name: str) -> None:
    if name.startswith("_"):
        raise TypeError(f"{cls.__qualname__}.{name} cannot be a handler: its name begins with an underscore.")
    for base in cls.__mro__:
        ours = base.__module__.partition(".")[0] in ("htmx_live", "django")
        if ours and name in vars(base) and not _marks_of(vars(base)[name]).offered:
            raise TypeError(
                f"{cls.__qualname__}.{name} cannot be a handler: {base.__qualname__} has a method of that name, "
                f"which a browser must not call. Choose another name, {name}_clicked for example."
            )


def _build_handler(cls: type, name: str, function: Any) -> Handler:
    check_handler_function(function, "@event_handler")
    marks = _marks_of(function)
    parameters = collect_parameters(function, namespace=dict(_visible_attributes(cls)))
    if marks.background:
        check_background_parameters(function, parameters)
    return Handler(
        name=name,
        function=function,
        is_async=iscoroutinefunction(function),
        parameters=parameters,
        accepts_kwargs=accepts_kwargs(function),
        is_background=marks.background,
        key=marks.key,
        modifier=marks.modifier or "",
    )


# Arguments


def bind_arguments(
    handler: Handler,
    *,
    values: Mapping[str, Any] | Sequence[Any],
    form: Mapping[str, Sequence[str]],
    files: "Mapping[str, Sequence[UploadedFile[Any]]]",
) -> dict[str, Any]:
    """Keyword arguments for ``handler.function``; ``ArgumentError`` names the parameter that cannot take what was sent.

    ``values`` are typed JSON, by name or in declared order, and win over ``form``.  What no parameter declares goes
    to ``**kwargs`` if there is one (text, or a list where a field came more than once) and is dropped otherwise.  A
    parameter that nothing was sent for, or an empty field that its type has no value for, keeps its default.
    """
    limit = settings().MAX_ARGUMENT_SIZE
    named = values if isinstance(values, Mapping) else _name_positional_values(handler, values)
    arguments: dict[str, Any] = {}
    for parameter in handler.parameters:
        value = _convert_argument(
            handler, parameter, _find_sent_value(parameter, named, form=form, files=files), limit=limit
        )
        if value is not _MISSING:
            arguments[parameter.name] = value
    if handler.accepts_kwargs:
        arguments.update(_bind_kwargs(handler, named, form, limit=limit))
    return arguments


_MISSING = object()


def _convert_argument(handler: Handler, parameter: Parameter, sent: Any, *, limit: int) -> Any:
    """The parameter's value; ``_NOTHING`` leaves it to its default."""
    reason = "is missing"
    if sent is not _MISSING:
        try:
            check_storable(sent, limit=limit)
            return parameter.converter.convert(sent)
        except ConversionError as rejected:
            reason = str(rejected)
    is_empty = sent is _MISSING or (isinstance(sent, str) and not sent)
    if is_empty and not parameter.is_required:
        return _MISSING
    if sent is _MISSING and parameter.converter.absent is not None:
        return parameter.converter.absent()
    raise ArgumentError(handler.name, parameter.name, reason)


def _find_sent_value(
    parameter: Parameter, named: Mapping[str, Any], *, form: Mapping[str, Any], files: Mapping[str, Any]
) -> Any:
    name, converter = parameter.name, parameter.converter
    if name in named:
        return named[name]
    for source, is_accepted in ((form, converter.accepts_form), (files, converter.accepts_files)):
        items = list(source.get(name, ())) if is_accepted else []
        if items:
            return items if converter.many else items[-1]
    return _MISSING


def _name_positional_values(handler: Handler, values: Sequence[Any]) -> dict[str, Any]:
    names = [parameter.name for parameter in handler.parameters if parameter.is_positional]
    if len(values) > len(names):
        raise ArgumentError(handler.name, "_args", f"holds {len(values)} values for {len(names)} parameters")
    return dict(zip(names, values, strict=False))


def _bind_kwargs(
    handler: Handler, named: Mapping[str, Any], form: Mapping[str, Sequence[str]], *, limit: int
) -> Iterator[tuple[str, Any]]:
    declared = {parameter.name for parameter in handler.parameters} | {"self", "csrfmiddlewaretoken"}
    for name in {**form, **named}:
        if name in declared or name.startswith("_"):
            continue
        if not _PRINTABLE.fullmatch(name) or len(name) > _MAX_NAME:
            raise ArgumentError(handler.name, "kwargs", "a field has a name that is too long or cannot be printed")
        items = list(form.get(name, ()))
        if name not in named and not items:
            continue
        value = named[name] if name in named else items if len(items) > 1 else items[0]
        try:
            check_storable(value, limit=limit)
        except ConversionError as rejected:
            raise ArgumentError(handler.name, name, str(rejected)) from None
        yield name, value
