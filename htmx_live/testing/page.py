"""The page as a browser would show it: one live view's HTML, to which partials and texts are applied."""

import re
from typing import Any

from django.utils.html import escape

from htmx_live.testing.markup import Element, parse

__all__ = ["ShownPage", "rev_of"]

_PARTIAL = re.compile(r'<hx-partial hx-target="#([^"]+)" hx-swap="(\w+)">(.*?)</hx-partial>', re.DOTALL)


class ShownPage:
    """``html`` is the outermost root element, "" where the page shows none."""

    def __init__(self, html: str = "") -> None:
        roots = [one for one in parse(html).all() if "data-live" in one.attributes]
        self.html = _outer(html, roots[0]) if roots else ""

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

    def find(self, root: str) -> Element:
        """The root with this id."""
        for element in self.roots():
            if element.attributes["id"] == root:
                return element
        raise LookupError(f"The page shows no live view with the id {root!r}.")

    def apply(self, text: str) -> None:
        """Swap partials as the script does.

        A root that is not newer than the page's is dropped, and an empty root is a child that stays as it is.
        """
        for target, swap, html in _PARTIAL.findall(text):
            shown = {one.attributes["id"]: one for one in self.roots()}
            new = next((one for one in parse(html).all() if "data-live" in one.attributes), None)
            if target not in shown or new is None:
                continue
            if swap == "outerHTML" or rev_of(new) > rev_of(shown[target]):
                self.html = self.html.replace(_outer(self.html, shown[target]), self._with_children(html, shown))

    def forget_rev(self, root: str) -> None:
        """Take the next render of this root, whatever its rev: the page lacks part of it."""
        self.html = re.sub(rf'(id="{re.escape(root)}"[^>]* data-live-rev=")\d+', r"\g<1>0", self.html, count=1)

    def _with_children(self, html: str, shown: dict[str, Element]) -> str:
        for element in parse(html).all():
            known = shown.get(element.attributes.get("id", ""))
            if element.attributes.get("data-live") == "" and known is not None:
                kept = _outer(self.html, known)
                html = html.replace(_outer(html, element), kept)
        return html

    def append(self, message: dict[str, Any]) -> bool:
        """Add to a text stream; False when there is a gap before the message's text."""
        pattern = re.compile(rf'(id="{re.escape(message["target"])}"[^>]*data-live-at=")([^"]*)("[^>]*>)([^<]*)')
        found = pattern.search(self.html)
        if found is None:
            return True
        generation, _, offset = found[2].rpartition(".")
        is_same = generation == message["generation"]
        length, known = (int(offset), found[4]) if is_same else (0, "")
        if message["offset"] > length:
            return False
        text = known + escape(message["text"][length - message["offset"] :])
        at = f"{message['generation']}.{max(length, message['offset'] + len(message['text']))}"
        self.html = f"{self.html[: found.start()]}{found[1]}{at}{found[3]}{text}{self.html[found.end() :]}"
        return True


def rev_of(root: Element) -> int:
    """The rev that a root shows."""
    return int(root.attributes.get("data-live-rev", "0"))


def _outer(html: str, root: Element) -> str:
    """The text of a root element: from its opening tag to the closing tag that balances it."""
    start = html.rindex(f"<{root.tag}", 0, html.index(f'id="{root.attributes["id"]}"'))
    depth = 0
    for match in re.finditer(rf"<(/?){root.tag}\b[^>]*>", html[start:]):
        depth += -1 if match[1] else 1
        if depth == 0:
            return html[start : start + match.end()]
    raise ValueError(f"The root element {root.opening()} is not closed. Check the tags in the view's template.")
