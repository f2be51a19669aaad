"""Specifications: reading and completing what stands in ``hx-trigger``.

A specification is a list of parts, divided by commas; a part is the name of an event, perhaps with a filter in
brackets, and modifiers.  Commas inside of brackets, parentheses and quotes divide nothing.

Source: htmx 4 documentation, "hx-trigger".
"""

import re
from difflib import get_close_matches
from functools import lru_cache

from django.template import TemplateSyntaxError

__all__ = ["event_names", "with_modifier"]

_GUESSED = ("delay", "throttle", "threshold", "rootMargin")
_NESTED = re.compile(r"""\[[^\]]*\]|\([^)]*\)|"[^"]*"|'[^']*'|<[^>]*/>""")
_WORD = re.compile(r"(?<!\S)([\w-]+)\s*:")


@lru_cache(maxsize=1024)
def with_modifier(event: str, modifier: str) -> str:
    """``event`` with ``modifier`` added to each part that does not pace itself already."""
    parts = []
    for part in _parts(event):
        words = _modifiers(part)
        _check_spelling(event, words)
        paced = not modifier or "delay" in words or "throttle" in words
        parts.append(part if paced else f"{part} {modifier}")
    return ", ".join(parts)


@lru_cache(maxsize=1024)
def event_names(event: str) -> frozenset[str]:
    """The events that ``event`` hears on its own element."""
    own = (part for part in _parts(event) if "from" not in _modifiers(part))
    return frozenset(re.split(r"[\s\[]", part, maxsplit=1)[0] for part in own)


def _parts(event: str) -> list[str]:
    hidden = _hide_nested(event)
    if "[" in hidden or "]" in hidden:
        raise TemplateSyntaxError(f"{event!r} is no event specification: a bracket is not closed, or not opened.")
    parts, start = [], 0
    for comma in [*(found.start() for found in re.finditer(",", hidden)), len(hidden)]:
        parts.append(event[start:comma].strip())
        start = comma + 1
    if not all(parts):
        raise TemplateSyntaxError(
            f"{event!r} is no event specification. Write the name of an event, like 'click' or 'input changed, keyup'."
        )
    return parts


def _modifiers(part: str) -> list[str]:
    _, _, rest = _hide_nested(part).partition(" ")
    return _WORD.findall(rest)


def _hide_nested(text: str) -> str:
    return _NESTED.sub(lambda found: "_" * len(found[0]), text)


def _check_spelling(event: str, words: list[str]) -> None:
    # Only near misses, and not of `from`: a selector may hold any word before a colon, `form:invalid` for one.
    for word in words:
        close = get_close_matches(word, _GUESSED, n=1, cutoff=0.75)
        if close and word not in _GUESSED:
            raise TemplateSyntaxError(f"{event!r}: there is no modifier {word!r}. Did you mean {close[0]!r}?")
