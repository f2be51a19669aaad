"""Loading: the attributes by which elements send events and show that something is under way.

Pure builders of docs/wire.md: plain values in, a dict of attributes out.  Tags and components only adapt them.
What is wrong in a template raises ``TemplateSyntaxError``.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from django.db.models import Model
from django.template import TemplateSyntaxError
from django.utils.safestring import SafeString, mark_safe

from htmx_live.intervals import milliseconds
from htmx_live.markup import check_markup
from htmx_live.specifications import event_names, with_modifier
from htmx_live.values import to_json

__all__ = [
    "DISPLAYS",
    "OPTIONS",
    "check_markup",
    "check_options",
    "flatten",
    "guess",
    "indicator",
    "key_text",
    "loading",
    "pending_word",
    "trigger",
]

_DIRECTIVES = ("show", "hide", "disable")
# Those that the style sheet has a rule for; without display= an element shows as it would by itself.
DISPLAYS = ("block", "flex", "grid", "inline", "inline-block", "inline-flex", "inline-grid", "contents")
OPTIONS = ("display", "class", "remove_class", "for", "key", "delay", "min")


def trigger(
    event: str,
    handler: str,
    *,
    url: str,
    root: str,
    modifier: str = "",
    values: Mapping[str, Any] | None = None,
    key: str = "",
    sends_files: bool = False,
) -> dict[str, str]:
    """Attributes of an element that calls ``handler`` at ``url`` on ``event``, an hx-trigger specification.

    ``root`` is the id of the live view's element, ``modifier`` the handler's debounce or throttle, ``values`` its
    typed arguments, ``key`` what tells this trigger's background job from its neighbours'; ``sends_files`` makes its
    body multipart.  A form that is submitted also gets ``method`` and ``action``, so that it works without JavaScript.
    No ``hx-*`` attribute depends on ``values`` or ``key``: a morph that changes one would cancel the debounce that is
    waiting.
    """
    attributes = {
        "hx-post": url,
        "hx-trigger": with_modifier(event, modifier),
        "hx-swap": "none",
        "hx-indicator": indicator(root, handler),
        "data-live-event": handler,
    }
    arguments = to_json(values) if values else ""
    if arguments:
        attributes["data-live-args"] = arguments
    if key:
        attributes["data-live-key"] = key
    if "submit" in event_names(event):
        attributes["method"] = "post"
        attributes["action"] = f"{url}?{urlencode({'_args': arguments})}" if arguments else url
    if sends_files:
        attributes["enctype" if "action" in attributes else "hx-encoding"] = "multipart/form-data"
    return attributes


def indicator(root: str, handler: str) -> str:
    """hx-indicator of a trigger: itself, and what names its handler in the same live view.

    It counts only until the script takes over, which knows jobs, keys and delays.
    """
    return f"this, #{root} [data-live-for~='{_css_string(handler)}']"


def _css_string(text: str) -> str:
    # CSS Syntax 3, 4.3.5: escapes by code point.  A comma is escaped too, for htmx splits the list at commas.
    return "".join(
        character if character.isalnum() or character in "_-" else f"\\{ord(character):x} " for character in text
    )


def pending_word(handler: str, name: str, key: str = "") -> str:
    """A running job as one word of ``data-live-pending``."""
    return ":".join(quote(part, safe="") for part in ((handler, name, key) if key else (handler, name)))


def loading(*directives: str, **options: Any) -> dict[str, str]:
    """Attributes of an element that changes while something is under way.

    ``directives`` are "show", "hide" and "disable"; the options ``display``, ``class``, ``remove_class``, ``for``,
    ``key``, ``delay`` and ``min`` are those of ``{% loading %}``.  Words of Python may be written ``class_``, ``for_``.
    """
    given = {name.removesuffix("_"): value for name, value in options.items()}
    check_options(given)
    attributes = _directives(directives, _text(given.get("display")))
    for name in ("class", "remove_class"):
        classes = " ".join(_text(given.get(name)).split())
        if classes:
            attributes[f"data-live-{name.replace('_', '-')}"] = classes
    if not attributes:
        raise TemplateSyntaxError(
            '{% loading %} says nothing to do: write "show", "hide", "disable", class= or remove_class=.'
        )
    if "for" in given:
        attributes["data-live-for"] = _names(given["for"])
    key = key_text(given.get("key"))
    if key:
        attributes["data-live-key"] = key
    for name in ("delay", "min"):
        length = _interval(name, given.get(name))
        if length:
            attributes[f"data-live-{name}"] = str(length)
    return attributes


def check_options(names: Iterable[str]) -> None:
    """Raise ``TemplateSyntaxError`` for an option that ``{% loading %}`` does not have."""
    for name in names:
        if name not in OPTIONS:
            raise TemplateSyntaxError(f"{{% loading %}} has no option {name!r}. {guess(name, OPTIONS)}")


def key_text(value: Any) -> str:
    """A key as text: a model instance by its primary key; None is no key."""
    if isinstance(value, Model):
        value = value.pk
    return "" if value is None else str(value)


def guess(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown ``word``: the nearest known one, or all of them."""
    known = list(known)
    close = get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It knows: {', '.join(known) or 'none'}."


def flatten(attributes: Mapping[str, str]) -> SafeString:
    """``attributes`` as they stand in a start tag, every value escaped, whether or not it is marked safe."""
    return mark_safe(" ".join(f'{name}="{escape(value)}"' if value else name for name, value in attributes.items()))


def _directives(directives: Iterable[str], display: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for word in map(str, directives):
        if word not in _DIRECTIVES:
            raise TemplateSyntaxError(f"{{% loading %}} has no directive {word!r}. {guess(word, _DIRECTIVES)}")
        attributes[f"data-live-{word}"] = ""
    if "data-live-show" in attributes and "data-live-hide" in attributes:
        raise TemplateSyntaxError('{% loading %} got "show" and "hide", which contradict each other on one element.')
    if display:
        if "data-live-show" not in attributes:
            raise TemplateSyntaxError(f'{{% loading %}}: display={display!r} goes with "show".')
        if display not in DISPLAYS:
            raise TemplateSyntaxError(f"{{% loading %}} has no display={display!r}. {guess(display, DISPLAYS)}")
        attributes["data-live-show"] = display
    return attributes


def _names(value: Any) -> str:
    parts = [value] if not isinstance(value, list | tuple) else value
    words = [word for part in parts for word in _text(part).split()]
    if not words or "*:" in words:
        raise TemplateSyntaxError(
            f"{{% loading %}}: for={value!r} names no handler or job. "
            'Write for="save", for="save export", or for="*:save" for any live view.'
        )
    return " ".join(words)


def _interval(name: str, value: Any) -> int:
    if value is None or value == "":
        return 0
    try:
        return milliseconds(value)
    except ValueError as error:
        raise TemplateSyntaxError(f"{{% loading %}}: {name}: {error}") from None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
