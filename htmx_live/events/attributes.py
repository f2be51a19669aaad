"""Loading: the attributes by which elements send events and show that something is under way.

Pure builders of docs/wire.md: plain values in, a dict of attributes out.  Tags and components only adapt them.
What is wrong in a template raises ``TemplateSyntaxError``.

Triggers: the attributes by which an element of a live view calls one of its handlers.

What is the same for every row of a table is built once, as a ``Trigger``; ``on`` is the whole in one call.

Specifications: reading and completing what stands in ``hx-trigger``.

A specification is a list of parts, divided by commas; a part is the name of an event, perhaps with a filter in
brackets, and modifiers.  Commas inside of brackets, parentheses and quotes divide nothing.

Source: htmx 4 documentation, "hx-trigger".

Values: what a template may hand to a handler, as typed JSON.

The names that ``{% loading for= %}`` may use in a live view: its handlers, and its jobs as its source names them.
"""

import ast
import datetime as dt
import inspect
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from functools import cache, lru_cache
from html import escape
from textwrap import dedent
from typing import Any
from urllib.parse import quote, urlencode

from django.db.models import Model
from django.template import TemplateSyntaxError
from django.utils.functional import Promise
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.exceptions import UnknownHandler
from htmx_live.core.text import parse_milliseconds
from htmx_live.events.arguments import ConversionError
from htmx_live.events.context import RenderContext, current_view
from htmx_live.events.handlers import Handler, Parameter
from htmx_live.events.template_checks import check_markup

__all__ = [
    "DISPLAY_VALUES",
    "LOADING_OPTIONS",
    "Trigger",
    "add_modifier",
    "build_trigger_attributes",
    "check_loading_for",
    "check_markup",
    "check_options",
    "dumps",
    "event_names",
    "indicator_selector",
    "job_names",
    "key_text",
    "loading",
    "on",
    "pending_token",
    "render_attributes",
    "require_current_view",
    "suggest",
    "to_json",
    "to_json_value",
]


_CHECKED_MODIFIERS = ("delay", "throttle", "threshold", "rootMargin")
_NESTED = re.compile(r"""\[[^\]]*\]|\([^)]*\)|"[^"]*"|'[^']*'|<[^>]*/>""")
_MODIFIER = re.compile(r"(?<!\S)([\w-]+)\s*:")


@lru_cache(maxsize=1024)
def add_modifier(hx_trigger: str, modifier: str) -> str:
    """``event`` with ``modifier`` added to each part that does not pace itself already."""
    parts = []
    for part in _split_hx_trigger(hx_trigger):
        modifiers = _modifier_names(part)
        _check_spelling(hx_trigger, modifiers)
        is_paced = not modifier or "delay" in modifiers or "throttle" in modifiers
        parts.append(part if is_paced else f"{part} {modifier}")
    return ", ".join(parts)


@lru_cache(maxsize=1024)
def event_names(hx_trigger: str) -> frozenset[str]:
    """The events that ``event`` hears on its own element."""
    own = (part for part in _split_hx_trigger(hx_trigger) if "from" not in _modifier_names(part))
    return frozenset(re.split(r"[\s\[]", part, maxsplit=1)[0] for part in own)


def _split_hx_trigger(hx_trigger: str) -> list[str]:
    hidden = _hide_nested(hx_trigger)
    if "[" in hidden or "]" in hidden:
        raise TemplateSyntaxError(f"{hx_trigger!r} is no event specification: a bracket is not closed, or not opened.")
    parts, start = [], 0
    for comma in [*(found.start() for found in re.finditer(",", hidden)), len(hidden)]:
        parts.append(hx_trigger[start:comma].strip())
        start = comma + 1
    if not all(parts):
        raise TemplateSyntaxError(
            f"{hx_trigger!r} is no event specification. Write the name of an event, like 'click' or "
            "'input changed, keyup'."
        )
    return parts


def _modifier_names(part: str) -> list[str]:
    _, _, rest = _hide_nested(part).partition(" ")
    return _MODIFIER.findall(rest)


def _hide_nested(text: str) -> str:
    return _NESTED.sub(lambda found: "_" * len(found[0]), text)


def _check_spelling(hx_trigger: str, modifiers: list[str]) -> None:
    # Only near misses, and not of `from`: a selector may hold any word before a colon, `form:invalid` for one.
    for word in modifiers:
        close = get_close_matches(word, _CHECKED_MODIFIERS, n=1, cutoff=0.75)
        if close and word not in _CHECKED_MODIFIERS:
            raise TemplateSyntaxError(f"{hx_trigger!r}: there is no modifier {word!r}. Did you mean {close[0]!r}?")


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(values: Mapping[str, Any]) -> str:
    """``values`` as one JSON object; ``TemplateSyntaxError`` names the one that cannot be sent."""
    return dumps({name: to_json_value(value, name) for name, value in values.items()})


def dumps(values: Mapping[str, Any]) -> str:
    """Plain ``values`` as JSON."""
    try:
        return _dumps(values)
    except ValueError:
        name = next(name for name, value in values.items() if not _is_finite(value))
        raise TemplateSyntaxError(f"{name} holds a number that is not finite, which JSON cannot say.") from None


def _is_finite(value: Any) -> bool:
    try:
        _dumps(value)
    except ValueError:
        return False
    return True


def to_json_value(value: Any, name: str) -> Any:
    """``value`` as JSON values: dates, Decimal, UUID and Enum as text, a model instance by its primary key."""
    kind = type(value)
    if kind in _JSON_TYPES:
        return value
    if kind in _TO_TEXT:
        return _TO_TEXT[kind](value)
    if kind in (list, tuple, set, frozenset):
        return [to_json_value(item, name) for item in value]
    if isinstance(value, dict) and all(isinstance(word, str) for word in value):
        return {str(word): to_json_value(item, name) for word, item in value.items()}
    if isinstance(value, Model):
        return to_json_value(value.pk, name)
    if isinstance(value, Enum):
        return value.value if type(value.value) in _JSON_TYPES else value.name
    for base, convert in _BASE_CONVERTERS:
        if isinstance(value, base):
            return convert(value)
    raise TemplateSyntaxError(
        f"{name} is a {kind.__module__}.{kind.__qualname__}, which cannot be sent to a handler. Give text, a number, "
        "a bool, None, a date or time, Decimal, UUID, Enum, a model instance (by its pk), or a list or dict of these."
    )


_JSON_TYPES = frozenset({type(None), bool, int, float, str})
_TO_TEXT: dict[type, Callable[[Any], str]] = {
    SafeString: str.__str__,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    Decimal: str,
    uuid.UUID: str,
}
# Subclasses and proxies, tried in this order; a datetime is a date, a bool an int.
_BASE_CONVERTERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Promise, str),
    (str, str),
    (dt.date | dt.time, lambda value: value.isoformat()),
    (Decimal | uuid.UUID, str),
    (int, int),
    (float, float),
)


_DIRECTIVES = ("show", "hide", "disable")
# Those that the style sheet has a rule for; without display= an element shows as it would by itself.
DISPLAY_VALUES = ("block", "flex", "grid", "inline", "inline-block", "inline-flex", "inline-grid", "contents")
LOADING_OPTIONS = ("display", "class", "remove_class", "for", "key", "delay", "min")


def build_trigger_attributes(
    hx_trigger: str,
    handler: str,
    *,
    url: str,
    root_id: str,
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
        "hx-trigger": add_modifier(hx_trigger, modifier),
        "hx-swap": "none",
        "hx-indicator": indicator_selector(root_id, handler),
        "data-live-event": handler,
    }
    arguments = to_json(values) if values else ""
    if arguments:
        attributes["data-live-args"] = arguments
    if key:
        attributes["data-live-key"] = key
    if "submit" in event_names(hx_trigger):
        attributes["method"] = "post"
        attributes["action"] = f"{url}?{urlencode({'_args': arguments})}" if arguments else url
    if sends_files:
        attributes["enctype" if "action" in attributes else "hx-encoding"] = "multipart/form-data"
    return attributes


def indicator_selector(root_id: str, handler: str) -> str:
    """hx-indicator of a trigger: itself, and what names its handler in the same live view.

    It counts only until the script takes over, which knows jobs, keys and delays.
    """
    return f"this, #{root_id} [data-live-for~='{_css_string(handler)}']"


def _css_string(text: str) -> str:
    # CSS Syntax 3, 4.3.5: escapes by code point.  A comma is escaped too, for htmx splits the list at commas.
    return "".join(
        character if character.isalnum() or character in "_-" else f"\\{ord(character):x} " for character in text
    )


def pending_token(handler: str, name: str, key: str = "") -> str:
    """A running job as one word of ``data-live-pending``."""
    return ":".join(quote(part, safe="") for part in ((handler, name, key) if key else (handler, name)))


def loading(*directives: str, **options: Any) -> dict[str, str]:
    """Attributes of an element that changes while something is under way.

    ``directives`` are "show", "hide" and "disable"; the options ``display``, ``class``, ``remove_class``, ``for``,
    ``key``, ``delay`` and ``min`` are those of ``{% loading %}``.  Words of Python may be written ``class_``, ``for_``.
    """
    given = {name.removesuffix("_"): value for name, value in options.items()}
    check_options(given)
    attributes = _directive_attributes(directives, _strip(given.get("display")))
    for name in ("class", "remove_class"):
        classes = " ".join(_strip(given.get(name)).split())
        if classes:
            attributes[f"data-live-{name.replace('_', '-')}"] = classes
    if not attributes:
        raise TemplateSyntaxError(
            '{% loading %} says nothing to do: write "show", "hide", "disable", class= or remove_class=.'
        )
    if "for" in given:
        attributes["data-live-for"] = _parse_for(given["for"])
    key = key_text(given.get("key"))
    if key:
        attributes["data-live-key"] = key
    for name in ("delay", "min"):
        length = _parse_interval(name, given.get(name))
        if length:
            attributes[f"data-live-{name}"] = str(length)
    return attributes


def check_options(names: Iterable[str]) -> None:
    """Raise ``TemplateSyntaxError`` for an option that ``{% loading %}`` does not have."""
    for name in names:
        if name not in LOADING_OPTIONS:
            raise TemplateSyntaxError(f"{{% loading %}} has no option {name!r}. {suggest(name, LOADING_OPTIONS)}")


def key_text(value: Any) -> str:
    """A key as text: a model instance by its primary key; None is no key."""
    if isinstance(value, Model):
        value = value.pk
    return "" if value is None else str(value)


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown ``word``: the nearest known one, or all of them."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It knows: {', '.join(known) or 'none'}."


def render_attributes(attributes: Mapping[str, str]) -> SafeString:
    """``attributes`` as they stand in a start tag, every value escaped, whether or not it is marked safe."""
    return mark_safe(" ".join(f'{name}="{escape(value)}"' if value else name for name, value in attributes.items()))


def _directive_attributes(directives: Iterable[str], display: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for word in map(str, directives):
        if word not in _DIRECTIVES:
            raise TemplateSyntaxError(f"{{% loading %}} has no directive {word!r}. {suggest(word, _DIRECTIVES)}")
        attributes[f"data-live-{word}"] = ""
    if "data-live-show" in attributes and "data-live-hide" in attributes:
        raise TemplateSyntaxError('{% loading %} got "show" and "hide", which contradict each other on one element.')
    if display:
        if "data-live-show" not in attributes:
            raise TemplateSyntaxError(f'{{% loading %}}: display={display!r} goes with "show".')
        if display not in DISPLAY_VALUES:
            raise TemplateSyntaxError(f"{{% loading %}} has no display={display!r}. {suggest(display, DISPLAY_VALUES)}")
        attributes["data-live-show"] = display
    return attributes


def _parse_for(value: Any) -> str:
    parts = [value] if not isinstance(value, list | tuple) else value
    words = [word for part in parts for word in _strip(part).split()]
    if not words or "*:" in words:
        raise TemplateSyntaxError(
            f"{{% loading %}}: for={value!r} names no handler or job. "
            'Write for="save", for="save export", or for="*:save" for any live view.'
        )
    return " ".join(words)


def _parse_interval(name: str, value: Any) -> int:
    if value is None or value == "":
        return 0
    try:
        return parse_milliseconds(value)
    except ValueError as error:
        raise TemplateSyntaxError(f"{{% loading %}}: {name}: {error}") from None


def _strip(value: Any) -> str:
    return "" if value is None else str(value).strip()


def on(event: str, handler: str, *args: Any, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The attributes of ``{% on event handler *args **values %}`` in the live view that is being rendered.

    ``TemplateSyntaxError`` for a handler or an argument that the view does not have.
    """
    values = values or {}
    found = Trigger.find(require_current_view("on"), event, handler)
    names = found.argument_names(len(args), values)
    given = {name: to_json_value(value, name) for name, value in zip(names, [*args, *values.values()], strict=True)}
    return found.attributes(given)


def require_current_view(tag: str) -> RenderContext:
    """The live view around a tag; ``TemplateSyntaxError`` outside of one."""
    context = current_view.get()
    if context is None:
        raise TemplateSyntaxError(
            f"{{% {tag} %}} stands outside of a live view. Use it in a LiveView's template, or in what that includes."
        )
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An event that calls a handler of one instance, before any values.  ``url`` is where the event is sent."""

    hx_trigger: str
    handler: Handler
    url: str
    instance: str
    root_id: str

    @classmethod
    def find(cls, context: RenderContext, hx_trigger: str, handler: str) -> "Trigger":
        """The trigger for the handler of this name; ``TemplateSyntaxError`` names those that the view offers."""
        try:
            found = context.handlers[handler]
        except UnknownHandler as error:  # a mistake in a template, not a 404
            raise TemplateSyntaxError(f"{{% on %}}: {error}") from None
        url = context.event_url(handler)
        return cls(hx_trigger=hx_trigger, handler=found, url=url, instance=context.instance, root_id=context.root_id)

    def attributes(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The attributes for these plain values by name."""
        handler = self.handler
        return build_trigger_attributes(
            self.hx_trigger,
            handler.name,
            url=self.url,
            root_id=self.root_id,
            modifier=handler.modifier,
            values=values,
            key=self.job_key(values),
            sends_files=any(not parameter.converter.accepts_form for parameter in handler.parameters),
        )

    def job_key(self, values: Mapping[str, Any]) -> str:
        """What tells this trigger's background job from others: the text of the argument that ``key=`` names."""
        name = self.handler.key
        if name is None or name not in values:
            return ""
        try:
            return key_text(self._find_parameter(name).converter.convert(values[name]))
        except ConversionError as rejected:
            raise TemplateSyntaxError(f"{{% on %}}: {self.handler.name}(): {name}: {rejected}.") from None

    def argument_names(self, positional: int, keywords: Iterable[str]) -> list[str]:
        """The names of so many positional values and of ``keywords``, checked against the handler's parameters."""
        in_order = [parameter.name for parameter in self.handler.parameters if parameter.is_positional]
        if positional > len(in_order):
            raise self._error(f"takes {len(in_order)} values by position, {positional} were given")
        names = [*in_order[:positional], *keywords]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise self._error(f"{name} is given twice, by position and by name")
            self._check_name(name)
        return names

    def _check_name(self, name: str) -> None:
        declared = {parameter.name: parameter for parameter in self.handler.parameters}
        if name.startswith("_") or name in ("self", "csrfmiddlewaretoken"):
            raise self._error(f"{name} is a name of the library's own. Choose another")
        if name not in declared and not self.handler.accepts_kwargs:
            raise self._error(f"there is no parameter {name!r}. {suggest(name, declared)}")
        if name in declared and not declared[name].converter.accepts_form:
            raise self._error(f"{name} is an uploaded file, which comes from a form and not from a template")

    def _find_parameter(self, name: str) -> Parameter:
        return next(parameter for parameter in self.handler.parameters if parameter.name == name)

    def _error(self, reason: str) -> TemplateSyntaxError:
        end = "" if reason.endswith((".", "?")) else "."
        return TemplateSyntaxError(f"{{% on %}}: {self.handler.name}(): {reason}{end}")


_PACKAGES_WITHOUT_JOBS = ("htmx_live", "builtins", "typing", "abc")  # packages whose classes start no jobs


def check_loading_for(names: Iterable[str], view: type, handlers: Iterable[str]) -> None:
    """Raise ``TemplateSyntaxError`` for a word that can match nothing in ``view``.

    A word with ``*:`` may mean another view or a script, and is not checked.
    """
    jobs = job_names(view)
    known = [*handlers, *sorted(jobs or ())]
    for name in names:
        # A job that no handler has started goes by its callback's name.
        if jobs is not None and not name.startswith("*:") and name not in known and not hasattr(view, name):
            raise TemplateSyntaxError(
                f"{{% loading %}}: {view.__name__} has no handler or job {name!r}. {suggest(name, known)} "
                f'Write for="*:{name}" for what another view or a script starts.'
            )


@cache
def job_names(view: type) -> frozenset[str] | None:
    """The names that the source of ``view`` gives to its jobs.

    None if they cannot be known: one is computed, ``self`` is passed to other code, or there is no source.
    """
    found: set[str] = set()
    for cls in view.__mro__:
        if cls.__module__.partition(".")[0] in _PACKAGES_WITHOUT_JOBS:
            continue
        try:
            tree = ast.parse(dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            return None
        names = list(_job_names_in(tree))
        if None in names:
            return None
        found.update(name for name in names if name)
    return frozenset(found)


def _job_names_in(tree: ast.AST) -> Iterator[str | None]:
    """The names of jobs that are started in ``tree``; None for one that only running it would tell."""
    nodes = list(ast.walk(tree))
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == "self" and id(node) not in owners:
            yield None  # other code may start jobs
        elif isinstance(node, ast.Attribute) and node.attr == "start_async":
            yield from _job_names_of_call(calls.get(id(node)))


def _job_names_of_call(call: ast.Call | None) -> Iterator[str | None]:
    if call is None:  # it is passed to other code
        yield None
        return
    if call.args and isinstance(call.args[0], ast.Name):
        yield call.args[0].id
    for keyword in call.keywords:
        is_known = isinstance(keyword.value, ast.Constant) and keyword.arg is not None
        if keyword.arg in (None, "name"):
            yield str(keyword.value.value or "") if is_known else None  # type: ignore[attr-defined]
