"""The address bar: attributes named in ``url_state`` stand in the page's query string.

After ``mount()`` they are read from it, coerced to the type of the value that ``mount()`` gave them; after a user's
event they are written to it.  A value that equals the one ``mount()`` gave is left out, and what others put into the
query string stays there.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from django.http import HttpRequest, QueryDict
from django.utils.encoding import escape_uri_path, iri_to_uri
from django.utils.http import escape_leading_slashes

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import StateError
from htmx_live.core.records import Record
from htmx_live.events.arguments import ConversionError, check_storable, converter_for
from htmx_live.runtime.view import Live

__all__ = ["RETURN_PARAM", "build_page_url", "build_query", "current_query", "read_url_state", "strip_return_param"]


RETURN_PARAM = "_live"  # names the page before this one for a moment; never part of an address


def read_url_state(view: Live, request: HttpRequest) -> dict[str, list[str]]:
    """Set ``view``'s attributes from the query string; the texts of the values that they had before.

    What cannot be coerced leaves the attribute as it is: an address may be old, or typed by hand.
    """
    defaults = {}
    for name in type(view).url_state:
        default = _get_attribute(view, name)
        defaults[name] = _to_texts(default)
        values = request.GET.getlist(name)
        if values:
            _set_from_query(view, name, default, values)
    return defaults


def build_query(view: Live, defaults: dict[str, list[str]], query: str) -> tuple[str, bool]:
    """``query`` with the present values of ``url_state``; and whether one of ``url_push`` has changed."""
    params = QueryDict(strip_return_param(query), mutable=True)
    is_pushed = False
    for name in type(view).url_state:
        texts = _to_texts(_get_attribute(view, name))
        is_default = texts == defaults.get(name)
        before = params.pop(name, None)
        if not is_default:
            params.setlist(name, texts or [""])
        is_pushed = is_pushed or (name in type(view).url_push and (before or defaults.get(name)) != texts)
    return urlencode([(name, text) for name, texts in params.lists() for text in texts]), is_pushed


def current_query(record: Record, request: HttpRequest) -> str:
    """The query string in the address bar that an event came from; the record's, if it came from another path."""
    try:
        parts = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return record.query
    return parts.query if unquote(parts.path) == record.path and len(parts.query) < 4096 else record.query


def build_page_url(record: Record, query: str) -> str:
    """The address of the record's page on this host, fit for a header."""
    path = escape_leading_slashes(escape_uri_path(record.path))  # //host/ would be another host
    return f"{path}?{iri_to_uri(query)}" if query else path


def strip_return_param(query: str) -> str:
    return "&".join(part for part in query.split("&") if part and not part.startswith(f"{RETURN_PARAM}="))


def _get_attribute(view: Live, name: str) -> Any:
    try:
        return getattr(view, name)
    except AttributeError:
        raise StateError(
            f"{type(view).__name__}.url_state names {name!r}, which mount() has not set. Give it a first value there: "
            "its type says how the query string is read."
        ) from None


def _set_from_query(view: Live, name: str, default: Any, values: list[str]) -> None:
    annotation = list[str] if isinstance(default, list) else str if default is None else type(default)
    converter = converter_for(annotation)
    try:
        check_storable(values, limit=settings().MAX_ARGUMENT_SIZE)
        value = converter.convert(values if converter.many else values[-1])
    except ConversionError:
        return
    setattr(view, name, value)


def _to_texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple | set):
        return [text for item in _sorted(value) for text in _to_texts(item)]
    if value is None:
        return []
    if isinstance(value, bool):
        return ["1" if value else "0"]
    return [str(value.value if isinstance(value, Enum) else value)]


def _sorted(value: Iterable[Any]) -> Iterable[Any]:
    return sorted(value, key=str) if isinstance(value, set) else value
