"""Markup: just enough of a parser to find triggers, forms and roots in rendered HTML."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Element", "parse"]

_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_FIELDS = ("input", "textarea", "select")


@dataclass(slots=True)
class Element:
    """An element; ``parts`` are its children and texts, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list["Element | str"] = field(default_factory=list)
    parent: "Element | None" = None

    @property
    def text(self) -> str:
        """All text in it, white space folded."""
        return " ".join("".join(part if isinstance(part, str) else f" {part.text} " for part in self.parts).split())

    def all(self) -> Iterator["Element"]:
        """It and what it contains, in document order."""
        yield self
        for part in self.parts:
            if isinstance(part, Element):
                yield from part.all()

    def closest(self, tag: str) -> "Element | None":
        element: Element | None = self
        while element is not None and element.tag != tag:
            element = element.parent
        return element

    def nearest(self, attribute: str) -> "Element":
        """It, or the nearest element around it, that has ``attribute``; ``LookupError`` without one."""
        element: Element | None = self
        while element is not None and attribute not in element.attributes:
            element = element.parent
        if element is None:
            raise LookupError(f"{self.opening()} stands in no element with {attribute}.")
        return element

    def is_disabled(self) -> bool:
        fieldset = self.closest("fieldset")
        return "disabled" in self.attributes or (fieldset is not None and "disabled" in fieldset.attributes)

    def opening(self) -> str:
        """The opening tag, for messages."""
        return f"<{' '.join([self.tag, *(f'{name}={value!r}' for name, value in self.attributes.items())])}>"

    def values(self) -> dict[str, list[str]]:
        """What a browser would submit of a form, or of one control."""
        found: dict[str, list[str]] = {}
        for element in self.all():
            name = element.attributes.get("name")
            if name and element.tag in _FIELDS and not element.is_disabled():
                values = element._submitted()
                if values:
                    found.setdefault(name, []).extend(values)
        return found

    def _submitted(self) -> list[str]:
        kind = self.attributes.get("type", "")
        if self.tag == "textarea":
            text = "".join(part for part in self.parts if isinstance(part, str))
            return [text.removeprefix("\r").removeprefix("\n")]  # HTML drops a newline right after the start tag
        if self.tag == "select":
            return self._chosen()
        if kind in ("checkbox", "radio"):
            return [self.attributes.get("value", "on")] if "checked" in self.attributes else []
        return [] if kind in ("submit", "button", "file", "image", "reset") else [self.attributes.get("value", "")]

    def _chosen(self) -> list[str]:
        options = [element for element in self.all() if element.tag == "option"]
        chosen = [option for option in options if "selected" in option.attributes]
        if not chosen and "multiple" not in self.attributes:
            chosen = options[:1]
        return [option.attributes.get("value", option.text) for option in chosen]


def parse(html: str) -> Element:
    """The elements of ``html`` under one without a tag."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.top


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.top = self._open = Element("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, parent=self._open)
        self._open.parts.append(element)
        if tag not in _VOID:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID and self._open.parent is not None:
            self._open = self._open.parent

    def handle_endtag(self, tag: str) -> None:
        element = self._open.closest(tag)
        if element is not None and element.parent is not None:
            self._open = element.parent

    def handle_data(self, data: str) -> None:
        self._open.parts.append(data)
