"""Signatures: which parameters a handler declares, and which functions can be one."""

import builtins
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, get_type_hints

from htmx_live.coercion import Reader, optional, reader

__all__ = ["Parameter", "check_background", "check_function", "declared", "label", "parameters_of", "takes_rest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One declared parameter.  ``by_position`` is false for a keyword-only one."""

    name: str
    reader: Reader
    required: bool
    by_position: bool = True


def label(function: Any) -> str:
    """What an error calls ``function``."""
    return f"{getattr(function, '__qualname__', function)}()"


def declared(function: Any) -> list[str]:
    """The names of the parameters, without ``self`` and ``**kwargs``."""
    return [parameter.name for parameter in _parameters(function) if parameter.kind is not parameter.VAR_KEYWORD]


def takes_rest(function: Any) -> bool:
    """Whether ``function`` has ``**kwargs``."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(function))


def check_function(function: Any, decorator: str) -> None:
    """Raise ``TypeError`` unless ``function`` is a method that keyword arguments can fill."""
    plain = isinstance(function, FunctionType) or hasattr(function, "__wrapped__")
    if not plain or isinstance(function, staticmethod | classmethod):
        raise TypeError(f"{decorator} got {function!r}. It decorates a method: def name(self, …).")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{label(function)} is a generator, which nobody would iterate. "
            "Use stream_text() or flush() in a plain function instead of yield."
        )
    if function.__name__.startswith("_"):
        raise TypeError(f"{label(function)} cannot be a handler: its name begins with an underscore.")
    if next(iter(inspect.signature(function).parameters), None) != "self":
        raise TypeError(f"{label(function)} needs self as its first parameter.")
    for parameter in _parameters(function):
        _check_parameter(function, parameter)


def check_background(function: Any, parameters: Iterable[Parameter]) -> None:
    """Raise ``TypeError`` if a job would be given a file that ends with its request."""
    for parameter in parameters:
        if not parameter.reader.from_form:
            raise TypeError(
                f"{label(function)} is a @background handler, and its parameter {parameter.name} is an uploaded file, "
                "which is gone when the job runs. Take the file in a plain handler, and hand its name to a job: "
                "self.start_async(self._work, self.keep(file))."
            )


def parameters_of(function: Any, *, names: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The declared parameters with their readers; ``TypeError`` names the one whose annotation cannot be read.

    ``names`` are those of the function's class, which an annotation written as text may use beside the module's.
    """
    annotations = _annotations(function, names)
    return tuple(
        _parameter(function, parameter, annotations.get(parameter.name, inspect.Parameter.empty))
        for parameter in _parameters(function)
        if parameter.kind is not parameter.VAR_KEYWORD
    )


def _parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def _check_parameter(function: Any, parameter: inspect.Parameter) -> None:
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
        raise TypeError(
            f"{label(function)}: {parameter} cannot be filled, for arguments come by name. Declare plain parameters, "
            "and **kwargs for the rest; let a decorator of your own keep them with functools.wraps."
        )
    if parameter.name.startswith("_"):
        raise TypeError(
            f"{label(function)}: {parameter.name}: fields whose names begin with an underscore are the library's. "
            "Rename the parameter."
        )


def _parameter(function: Any, parameter: inspect.Parameter, annotation: Any) -> Parameter:
    try:
        read = reader(annotation)
    except TypeError as error:
        raise TypeError(f"{label(function)}: {parameter.name}: {error}") from None
    return Parameter(
        name=parameter.name,
        reader=optional(read) if parameter.default is None and annotation is not parameter.empty else read,
        required=parameter.default is parameter.empty,
        by_position=parameter.kind is not parameter.KEYWORD_ONLY,
    )


def _annotations(function: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of the declared parameters, with those that are text evaluated."""

    def bearer() -> None: ...

    bearer.__annotations__ = {
        parameter.name: parameter.annotation
        for parameter in _parameters(function)
        if parameter.annotation is not parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    module = getattr(inspect.unwrap(function), "__globals__", {})
    # A handler may be called `list` or `date`: what the module and Python call so comes first.
    nested = {name: value for name, value in names.items() if name not in module and not hasattr(builtins, name)}
    try:
        return get_type_hints(bearer, module, nested)
    except Exception as error:  # whatever evaluating text can raise, told with the handler's name
        raise TypeError(
            f"{label(function)}: an annotation cannot be evaluated: {error}. "
            "Import its type in the module of the view, outside of `if TYPE_CHECKING:`."
        ) from error
