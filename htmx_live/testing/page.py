"""The page as a browser would show it: one live view's HTML, to which partials and texts are applied.

Markup: just enough of a parser to find triggers, forms and roots in rendered HTML.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.utils.html import escape

__all__ = ["Element", "ShownPage", "get_rev", "parse"]


_VOID_TAGS = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_FIELD_TAGS = ("input", "textarea", "select")


@dataclass(slots=True)
class Element:
    """An element; ``nodes`` are its children and texts, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    nodes: list["Element | str"] = field(default_factory=list)
    parent: "Element | None" = None

    @property
    def text(self) -> str:
        """All text in it, white space folded."""
        return " ".join("".join(part if isinstance(part, str) else f" {part.text} " for part in self.nodes).split())

    def all(self) -> Iterator["Element"]:
        """It and what it contains, in document order."""
        yield self
        for part in self.nodes:
            if isinstance(part, Element):
                yield from part.all()

    def closest_tag(self, tag: str) -> "Element | None":
        element: Element | None = self
        while element is not None and element.tag != tag:
            element = element.parent
        return element

    def closest_with_attribute(self, attribute: str) -> "Element":
        """It, or the nearest element around it, that has ``attribute``; ``LookupError`` without one."""
        element: Element | None = self
        while element is not None and attribute not in element.attributes:
            element = element.parent
        if element is None:
            raise LookupError(f"{self.opening_tag()} stands in no element with {attribute}.")
        return element

    def is_disabled(self) -> bool:
        fieldset = self.closest_tag("fieldset")
        return "disabled" in self.attributes or (fieldset is not None and "disabled" in fieldset.attributes)

    def opening_tag(self) -> str:
        """The opening tag, for messages."""
        return f"<{' '.join([self.tag, *(f'{name}={value!r}' for name, value in self.attributes.items())])}>"

    def form_values(self) -> dict[str, list[str]]:
        """What a browser would submit of a form, or of one control."""
        found: dict[str, list[str]] = {}
        for element in self.all():
            name = element.attributes.get("name")
            if name and element.tag in _FIELD_TAGS and not element.is_disabled():
                values = element._submitted_values()
                if values:
                    found.setdefault(name, []).extend(values)
        return found

    def _submitted_values(self) -> list[str]:
        kind = self.attributes.get("type", "")
        if self.tag == "textarea":
            text = "".join(part for part in self.nodes if isinstance(part, str))
            return [text.removeprefix("\r").removeprefix("\n")]  # HTML drops a newline right after the start tag
        if self.tag == "select":
            return self._selected_values()
        if kind in ("checkbox", "radio"):
            return [self.attributes.get("value", "on")] if "checked" in self.attributes else []
        return [] if kind in ("submit", "button", "file", "image", "reset") else [self.attributes.get("value", "")]

    def _selected_values(self) -> list[str]:
        options = [element for element in self.all() if element.tag == "option"]
        chosen = [option for option in options if "selected" in option.attributes]
        if not chosen and "multiple" not in self.attributes:
            chosen = options[:1]
        return [option.attributes.get("value", option.text) for option in chosen]


def parse(html: str) -> Element:
    """The elements of ``html`` under one without a tag."""
    builder = _TreeBuilder()
    builder.feed(html)
    builder.close()
    return builder.top


class _TreeBuilder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.top = self._open = Element("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, parent=self._open)
        self._open.nodes.append(element)
        if tag not in _VOID_TAGS:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID_TAGS and self._open.parent is not None:
            self._open = self._open.parent

    def handle_endtag(self, tag: str) -> None:
        element = self._open.closest_tag(tag)
        if element is not None and element.parent is not None:
            self._open = element.parent

    def handle_data(self, data: str) -> None:
        self._open.nodes.append(data)


_PARTIAL_PATTERN = re.compile(r'<hx-partial hx-target="#([^"]+)" hx-swap="(\w+)">(.*?)</hx-partial>', re.DOTALL)


class ShownPage:
    """``html`` is the outermost root element, "" where the page shows none."""

    def __init__(self, html: str = "") -> None:
        roots = [one for one in parse(html).all() if "data-live" in one.attributes]
        self.html = _outer_html(html, roots[0]) if roots else ""

    @property
    def root(self) -> Element:
        """The outermost root; ``LookupError`` without one."""
        roots = self.roots()
        if not roots:
            raise LookupError("The page shows no live view.")
        return roots[0]

    def roots(self) -> list[Element]:
        """All roots in document order, parents before their children."""
        return [one for one in parse(self.html).all() if "data-live" in one.attributes]

    def find_root(self, root: str) -> Element:
        """The root with this id."""
        for element in self.roots():
            if element.attributes["id"] == root:
                return element
        raise LookupError(f"The page shows no live view with the id {root!r}.")

    def apply(self, text: str) -> None:
        """Swap partials as the script does.

        A root that is not newer than the page's is dropped, and an empty root is a child that stays as it is.
        """
        for target, swap, html in _PARTIAL_PATTERN.findall(text):
            shown = {one.attributes["id"]: one for one in self.roots()}
            new = next((one for one in parse(html).all() if "data-live" in one.attributes), None)
            if target not in shown or new is None:
                continue
            if swap == "outerHTML" or get_rev(new) > get_rev(shown[target]):
                self.html = self.html.replace(_outer_html(self.html, shown[target]), self._fill_children(html, shown))

    def reset_rev(self, root: str) -> None:
        """Take the next render of this root, whatever its rev: the page lacks part of it."""
        self.html = re.sub(rf'(id="{re.escape(root)}"[^>]* data-live-rev=")\d+', r"\g<1>0", self.html, count=1)

    def _fill_children(self, html: str, shown: dict[str, Element]) -> str:
        for element in parse(html).all():
            shown_root = shown.get(element.attributes.get("id", ""))
            if element.attributes.get("data-live") == "" and shown_root is not None:
                shown_html = _outer_html(self.html, shown_root)
                html = html.replace(_outer_html(html, element), shown_html)
        return html

    def append_text(self, message: dict[str, Any]) -> bool:
        """Add to a text stream; False when there is a gap before the message's text."""
        pattern = re.compile(rf'(id="{re.escape(message["target"])}"[^>]*data-live-offset=")([^"]*)("[^>]*>)([^<]*)')
        found = pattern.search(self.html)
        if found is None:
            return True
        generation, _, offset = found[2].rpartition(".")
        is_same = generation == message["generation"]
        length, shown_text = (int(offset), found[4]) if is_same else (0, "")
        if message["offset"] > length:
            return False
        text = shown_text + escape(message["text"][length - message["offset"] :])
        at = f"{message['generation']}.{max(length, message['offset'] + len(message['text']))}"
        self.html = f"{self.html[: found.start()]}{found[1]}{at}{found[3]}{text}{self.html[found.end() :]}"
        return True


def get_rev(root: Element) -> int:
    """The rev that a root shows."""
    return int(root.attributes.get("data-live-rev", "0"))


def _outer_html(html: str, root: Element) -> str:
    """The text of a root element: from its opening tag to the closing tag that balances it."""
    start = html.rindex(f"<{root.tag}", 0, html.index(f'id="{root.attributes["id"]}"'))
    depth = 0
    for match in re.finditer(rf"<(/?){root.tag}\b[^>]*>", html[start:]):
        depth += -1 if match[1] else 1
        if depth == 0:
            return html[start : start + match.end()]
    raise ValueError(f"The root element {root.opening_tag()} is not closed. Check the tags in the view's template.")
