"""``Layout``: a page's frame, its panels and its queues, declared as a class and found by name.

A layout is registered as ``"<first segment of its module>.<class name>"``.
"""

import copy
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from django.http import HttpRequest
from django.template.loader import render_to_string

from htmx_live.layouts.context import LayoutContext
from htmx_live.layouts.errors import PanelError
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.queues import Queue

__all__ = ["Layout"]

logger = logging.getLogger("htmx_live.layouts")

_registry: dict[str, type["Layout"]] = {}

# Layouts that views ask for by name, and who asks: for the system check.
_references: dict[str, set[str]] = {}


class Layout:
    """Subclass with a ``template`` and with panels and queues as class attributes.

    They are inherited, a class's own before those of its bases; ``name = None`` removes an inherited one.
    One instance serves one request.
    """

    template: ClassVar[str]
    error_template: ClassVar[str] = "layouts/error.html"
    layout_context_defaults: ClassVar[Mapping[str, Any]] = {}

    layout_key: ClassVar[str]
    layout_panels: ClassVar[Mapping[str, Panel]]
    layout_queues: ClassVar[Mapping[str, Queue]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not isinstance(getattr(cls, "template", None), str):
            raise TypeError(f'{cls.__qualname__} has no template. Set template = "app/layout.html" on the class.')
        declared = _declared(cls)
        _refuse_reserved(cls, declared)
        cls.layout_panels = MappingProxyType({name: part for name, part in declared.items() if isinstance(part, Panel)})
        cls.layout_queues = MappingProxyType({name: part for name, part in declared.items() if isinstance(part, Queue)})
        cls.layout_key = f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
        _register(cls)

    @staticmethod
    def resolve(name: str) -> type["Layout"]:
        """The layout registered as ``name``; ``KeyError`` lists what is there."""
        if name in _registry:
            return _registry[name]
        there = ", ".join(sorted(_registry)) or "none"
        raise KeyError(f"There is no layout {name!r}. There are: {there}. Layouts are found in each app's layouts.py.")

    def get_layout_context(self, request: HttpRequest) -> dict[str, Any]:
        """Values for the layout context, over ``layout_context_defaults`` and under what the view writes."""
        return {}

    def get_template(self, request: HttpRequest) -> str:
        return self.template

    def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
        """HTML in place of a panel that failed.  The failure is in the log already."""
        try:
            return render_to_string(self.error_template, {"error": error}, request)
        except Exception:  # part of the panel's boundary: the page lives, whatever its error template does
            logger.exception("The error template %r of panel %r failed", self.error_template, error.panel_name)
            return ""


def layout_context(layout: Layout, request: HttpRequest) -> LayoutContext:
    """The page's context before its view runs."""
    return LayoutContext({**copy.deepcopy(dict(layout.layout_context_defaults)), **layout.get_layout_context(request)})


def fresh_queues(layout: type[Layout]) -> dict[str, Queue]:
    return {name: queue.fresh() for name, queue in layout.layout_queues.items()}


def resolved(layout: type[Layout] | str) -> type[Layout]:
    return Layout.resolve(layout) if isinstance(layout, str) else layout


def note_reference(layout: type[Layout] | str | None, asker: str) -> None:
    """Remember that ``asker`` names a layout, for the system check."""
    if isinstance(layout, str):
        _references.setdefault(layout, set()).add(asker)


def dangling_references() -> list[tuple[str, str]]:
    """(layout's name, who asks for it) for each name that no layout has."""
    return sorted((name, asker) for name, askers in _references.items() if name not in _registry for asker in askers)


def registered_layouts() -> list[type[Layout]]:
    return list(_registry.values())


def _declared(cls: type[Layout]) -> dict[str, Any]:
    """Panels and queues of ``cls`` and its bases, its own first; a name set to anything else hides an inherited one."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        for name, value in vars(base).items():
            found.setdefault(name, value)
    return {name: value for name, value in found.items() if isinstance(value, Panel | Queue)}


def _refuse_reserved(cls: type[Layout], declared: Mapping[str, Any]) -> None:
    for name, part in declared.items():
        if name == "content" and isinstance(part, Panel):
            raise TypeError(f"{cls.__qualname__}.content: the panel 'content' is the page's view. Choose another name.")
        if name in vars(Layout) or name in Layout.__annotations__:
            raise TypeError(
                f"{cls.__qualname__}.{name}: the name means something else on a Layout. Choose another name."
            )


def _register(cls: type[Layout]) -> None:
    """Keep ``cls`` under its key, unless another module's layout has it.

    Classes made in functions (tests make the same ones again and again) may replace each other.
    """
    other = _registry.get(cls.layout_key)
    local = "<locals>" in cls.__qualname__ or (other is not None and "<locals>" in other.__qualname__)
    if other is not None and not local and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(
            f"Two layouts are called {cls.layout_key!r}: {other.__module__}.{other.__qualname__} and "
            f"{cls.__module__}.{cls.__qualname__}. Rename one of them."
        )
    _registry[cls.layout_key] = cls
