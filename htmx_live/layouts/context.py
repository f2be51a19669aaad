"""The layout context: values of the whole page, written by its view and read by its panels.

Panels may run at the same time, so what they are given is frozen, deeply: dicts, lists and sets in it raise
``TypeError`` when they are changed.  Other objects are passed on as they are.
"""

from typing import Any, NoReturn

__all__ = ["FrozenLayoutContext", "LayoutContext", "freeze"]


class LayoutContext(dict[str, Any]):
    """``request.layout_context`` of the page's view: a dict."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError(
        "layout_context is read-only in panel views. Write to it in the page's view or get_layout_context()."
    )


class FrozenLayoutContext(dict[str, Any]):
    """``request.layout_context`` of a panel.  A copy of it is an ordinary dict."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list in a frozen context.  A copy of it is an ordinary list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, (list(self),)


def freeze(context: dict[str, Any]) -> FrozenLayoutContext:
    """A frozen copy, to be shared by all panels of a page."""
    return FrozenLayoutContext({name: _frozen(value) for name, value in context.items()})


def _frozen(value: Any) -> Any:
    # Exact types only: a subclass (a QueryDict, a form's ErrorDict) has a behaviour that a copy would lose.
    kind = type(value)
    if kind is dict or kind is LayoutContext:
        return FrozenLayoutContext({key: _frozen(entry) for key, entry in value.items()})
    if kind is list:
        return FrozenList([_frozen(entry) for entry in value])
    if kind is tuple:
        return tuple(_frozen(entry) for entry in value)
    return frozenset(value) if kind is set else value
