"""Markup: what rendered HTML shows of mistakes that a tag alone cannot see."""

from html.parser import HTMLParser

from django.template import TemplateSyntaxError

__all__ = ["check_markup"]


def check_markup(html: str) -> None:
    """Raise ``TemplateSyntaxError`` if an element of ours has two values for one attribute, two ``{% on %}`` above all.

    A browser keeps the first without a word.  The same value twice is fine: a trigger and its own ``{% loading %}``
    both write the key.  For DEBUG and tests: it parses all of ``html``.
    """
    if "data-live-" in html:
        checker = _Checker(convert_charrefs=False)
        checker.feed(html)
        checker.close()


class _Checker(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) == len(names) or not any(name.startswith("data-live-") for name in names):
            return
        handlers = [str(value) for name, value in attrs if name == "data-live-event"]
        if len(handlers) > 1:
            raise TemplateSyntaxError(
                f"<{tag}> has {len(handlers)} {{% on %}}, for {' and '.join(handlers)}: a browser sees the first only. "
                'Name the events in one, {% on "click, keyup" … %}, or give each handler its own element.'
            )
        first = dict(reversed(attrs))
        for name, value in attrs:
            if value != first[name]:
                raise TemplateSyntaxError(
                    f"<{tag}> has two values for {name}: a browser sees the first only. "
                    "One comes from {% on %} or {% loading %}: write the tag once, and leave out what it writes itself."
                )
