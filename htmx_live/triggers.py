"""Triggers: the attributes by which an element of a live view calls one of its handlers.

What is the same for every row of a table is built once, as a ``Trigger``; ``on`` is the whole in one call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.template import TemplateSyntaxError

from htmx_live.coercion import Rejected
from htmx_live.exceptions import UnknownHandler
from htmx_live.handlers import Handler, Parameter
from htmx_live.loading import guess, key_text, trigger
from htmx_live.rendering import Rendering, current_rendering
from htmx_live.values import plain

__all__ = ["Trigger", "on", "present_rendering"]


def on(event: str, handler: str, *args: Any, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The attributes of ``{% on event handler *args **values %}`` in the live view that is being rendered.

    ``TemplateSyntaxError`` for a handler or an argument that the view does not have.
    """
    values = values or {}
    found = Trigger.find(present_rendering("on"), event, handler)
    names = found.names(len(args), values)
    given = {name: plain(value, name) for name, value in zip(names, [*args, *values.values()], strict=True)}
    return found.attributes(given)


def present_rendering(tag: str) -> Rendering:
    """The live view around a tag; ``TemplateSyntaxError`` outside of one."""
    rendering = current_rendering.get()
    if rendering is None:
        raise TemplateSyntaxError(
            f"{{% {tag} %}} stands outside of a live view. Use it in a LiveView's template, or in what that includes."
        )
    return rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An event that calls a handler of one instance, before any values.  ``url`` is where the event is sent."""

    event: str
    handler: Handler
    url: str
    instance: str
    root: str

    @classmethod
    def find(cls, rendering: Rendering, event: str, handler: str) -> "Trigger":
        """The trigger for the handler of this name; ``TemplateSyntaxError`` names those that the view offers."""
        try:
            found = rendering.handlers[handler]
        except UnknownHandler as error:  # a mistake in a template, not a 404
            raise TemplateSyntaxError(f"{{% on %}}: {error}") from None
        url = rendering.event_url(handler)
        return cls(event=event, handler=found, url=url, instance=rendering.instance, root=rendering.root)

    def attributes(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The attributes for these plain values by name."""
        handler = self.handler
        return trigger(
            self.event,
            handler.name,
            url=self.url,
            root=self.root,
            modifier=handler.modifier,
            values=values,
            key=self.key(values),
            sends_files=any(not parameter.reader.from_form for parameter in handler.parameters),
        )

    def key(self, values: Mapping[str, Any]) -> str:
        """What tells this trigger's background job from others: the text of the argument that ``key=`` names."""
        name = self.handler.key
        if name is None or name not in values:
            return ""
        try:
            return key_text(self._parameter(name).reader.convert(values[name]))
        except Rejected as rejected:
            raise TemplateSyntaxError(f"{{% on %}}: {self.handler.name}(): {name}: {rejected}.") from None

    def names(self, positional: int, keywords: Iterable[str]) -> list[str]:
        """The names of so many positional values and of ``keywords``, checked against the handler's parameters."""
        in_order = [parameter.name for parameter in self.handler.parameters if parameter.by_position]
        if positional > len(in_order):
            raise self._error(f"takes {len(in_order)} values by position, {positional} were given")
        names = [*in_order[:positional], *keywords]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise self._error(f"{name} is given twice, by position and by name")
            self._check(name)
        return names

    def _check(self, name: str) -> None:
        declared = {parameter.name: parameter for parameter in self.handler.parameters}
        if name.startswith("_") or name in ("self", "csrfmiddlewaretoken"):
            raise self._error(f"{name} is a name of the library's own. Choose another")
        if name not in declared and not self.handler.takes_rest:
            raise self._error(f"there is no parameter {name!r}. {guess(name, declared)}")
        if name in declared and not declared[name].reader.from_form:
            raise self._error(f"{name} is an uploaded file, which comes from a form and not from a template")

    def _parameter(self, name: str) -> Parameter:
        return next(parameter for parameter in self.handler.parameters if parameter.name == name)

    def _error(self, reason: str) -> TemplateSyntaxError:
        end = "" if reason.endswith((".", "?")) else "."
        return TemplateSyntaxError(f"{{% on %}}: {self.handler.name}(): {reason}{end}")
