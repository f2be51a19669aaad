"""Markup: what rendered HTML shows of mistakes that a tag alone cannot see."""

from html.parser import HTMLParser

from django.template import TemplateSyntaxError

__all__ = ["check_markup"]


_MULTIPART = "multipart/form-data"  # the only encoding that holds files


def check_markup(html: str) -> None:
    """Raise ``TemplateSyntaxError`` for what a browser would pass over without a word.

    That is an element of ours with two values for one attribute, two ``{% on %}`` above all (the same value twice is
    fine: a trigger and its own ``{% loading %}`` both write the key), and a file that no event would bring.  For DEBUG
    and tests: it parses all of ``html``.
    """
    if "data-live-" in html:
        checker = _MarkupChecker(convert_charrefs=False)
        checker.feed(html)
        checker.close()


Attributes = list[tuple[str, str | None]]


class _MarkupChecker(HTMLParser):
    _form: dict[str, str | None] | None = None  # the form that is open

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self._check_duplicates(tag, attrs)
        if tag == "form":
            self._form = dict(attrs)
        elif tag == "input" and ("type", "file") in attrs:
            self._check_file_field(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None

    def _check_file_field(self, field: dict[str, str | None]) -> None:
        name = field.get("name")
        if "data-live-event" in field and not name:
            raise TemplateSyntaxError("<input type=file> has {% on %} and no name: its file would not be sent.")
        form = self._form or {}
        if "data-live-event" in form and form.get("enctype") != _MULTIPART:
            raise TemplateSyntaxError(
                f"<form> with the file field {name} has no enctype: its files would not be sent. "
                f'Write <form enctype="{_MULTIPART}" {{% on %}}>.'
            )
        if "data-live-event" in field and _MULTIPART not in (field.get("hx-encoding"), form.get("enctype")):
            raise TemplateSyntaxError(
                f"<input type=file name={name}> has {{% on %}} and no encoding: its file would not be sent. Give the "
                f'handler an UploadedFile parameter of that name, or write hx-encoding="{_MULTIPART}" beside it.'
            )

    def _check_duplicates(self, tag: str, attrs: Attributes) -> None:
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
