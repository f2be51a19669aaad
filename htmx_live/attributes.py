"""Attributes: which of what a view holds is its state, and which of it ``mount()`` sets."""

import inspect
from collections.abc import Iterator, Mapping
from dis import Instruction, get_instructions
from types import CodeType, FunctionType
from typing import Any

from htmx_live.exceptions import StateError
from htmx_live.state import decode_state

__all__ = ["mounted_names", "state_of", "take_state"]


def state_of(view: Any) -> dict[str, Any]:
    """The attributes of ``view`` that its record keeps."""
    cls = type(view)
    # A class attribute with __get__ owns its name: cached_property writes past __setattr__.
    return {
        name: value
        for name, value in vars(view).items()
        if name not in ("_live", "_skip_render") and not hasattr(getattr(cls, name, None), "__get__")
    }


def take_state(view: Any, state: Mapping[str, str]) -> None:
    """Set encoded attributes; ``StateError`` for names that no view's code could have assigned."""
    odd = type(view)._guarded.intersection(state)
    if odd:
        raise StateError(f"The kept state of {type(view).__qualname__} names {sorted(odd)}, which cannot be assigned.")
    view.__dict__.update(decode_state(state))


def mounted_names(cls: type) -> frozenset[str]:
    """The names that ``mount()`` may assign on ``self``, without those that the class has a default for.

    Found in the bytecode of ``mount()``, of the methods that it calls on ``self``, and of the base classes' methods
    that these extend.  Unlike the source, the bytecode is always that of the running code.  What is assigned in one
    branch only, or with ``setattr()``, cannot be told: see ``Record.unset``.
    """
    names = _assigned_by(cls, "mount", set())
    return frozenset(name for name in names if name not in ("_live", "_skip_render") and not hasattr(cls, name))


def _assigned_by(cls: type, method: str, seen: set[str]) -> Iterator[str]:
    seen.add(method)
    for base in cls.__mro__:
        function = vars(base).get(method)
        if not isinstance(function, FunctionType):
            continue
        code = inspect.unwrap(function).__code__
        for step in _steps_on_self(code):
            if step.opname == "STORE_ATTR":
                yield step.argval
            elif _is_method_call(step) and step.argval not in seen:
                yield from _assigned_by(cls, step.argval, seen)
        if method not in code.co_names:  # it does not call super()
            return


def _steps_on_self(code: CodeType) -> Iterator[Instruction]:
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
