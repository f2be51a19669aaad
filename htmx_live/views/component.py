"""The base of our components: typed arguments, attributes passed on, and a first render that threads may share.

A component declares ``Kwargs``, a frozen dataclass whose fields are ``option(default, help)``.  What is no field is an
attribute of the component's element: names with ``-``, ``:``, ``@`` or ``.``, HTML's global attributes, and those that
the component names in ``own_attributes``.  Any other name is a mistake, and the error says which name was meant.

Its template finds all that it shows under one name, ``shown``: a context processor's variable of the same name as
a component's is an error in django-components.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from difflib import get_close_matches
from threading import Lock
from typing import Any, ClassVar, Literal, cast, dataclass_transform, get_args, get_origin, get_type_hints

from django.http import HttpRequest
from django.template import Context, TemplateSyntaxError
from django.urls import reverse
from django.utils.safestring import SafeString
from django_components import Component, merge_attributes

from htmx_live.events.attributes import check_names, loading, on
from htmx_live.events.context import current_rendering
from htmx_live.messaging.notifications import toasts
from htmx_live.messaging.regions import is_sending
from htmx_live.progress.cards import Card, is_owner, progress_context, viewers_of
from htmx_live.progress.store import keeping
from htmx_live.runtime.services import parts
from htmx_live.views.embedding import live

__all__ = [
    "LiveComponent",
    "Options",
    "check_loading_names",
    "default_of",
    "is_pushed",
    "loading_attributes",
    "merged",
    "option",
    "progress_addresses",
    "toasts_html",
    "trigger_attributes",
    "view_html",
]


# HTML Standard, 3.2.6 "Global attributes", those of one word.
_GLOBAL = """
    accesskey autofocus class contenteditable dir draggable hidden id inert inputmode itemprop itemscope itemtype lang
    nonce part popover role slot spellcheck style tabindex title translate
"""
GLOBAL_ATTRIBUTES = frozenset(_GLOBAL.split())
# An attribute's name that is no word of a component's: data-id, hx-on::after-request, @click.once, x.y
_MARKS = frozenset("-:@.")
_LOADING = ("for", "key", "delay", "min", "display")

_first_load = Lock()
_loaded: set[type[Component]] = set()


def option(default: Any, help: str) -> Any:
    """A field of ``Kwargs`` with its default and what it is for, in a few words: the documentation shows them."""
    return field(default=default, metadata={"help": help})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class _Typed(type):
    """Makes each class of options a frozen dataclass whose calls are checked and sorted into fields and attributes."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "_Typed":
        made: Any = super().__new__(mcs, name, bases, namespace)
        return cast(_Typed, dataclass(frozen=True, kw_only=True)(made))

    def __call__(cls, **given: Any) -> Any:
        known = {one.name.removesuffix("_"): one for one in cls.options()}
        # `for_` is django-components' default of a field that templates know as `for`.
        values = {
            one.name: given.pop(one.name) for name, one in known.items() if name != one.name and one.name in given
        }
        attributes = dict(given.pop("attrs", None) or {})
        for name, value in given.items():
            if name in known:
                values[known[name].name] = cls._checked(known[name], value)
            else:
                attributes |= cls._attribute(name, value)
        return super().__call__(**values, attrs=attributes)

    def options(cls) -> list[Field[Any]]:
        """The fields, in the order of the class."""
        return [one for one in fields(cast(Any, cls)) if one.name != "attrs"]

    def hints(cls) -> dict[str, Any]:
        """The type of each field."""
        if "_hints" not in vars(cls):
            cls._hints = get_type_hints(cls)
        return cls._hints

    def _attribute(cls, name: str, value: Any) -> dict[str, Any]:
        """``hx-on::after-request="…"`` arrives as ``{"hx-on": {":after-request": "…"}}``."""
        if isinstance(value, Mapping) and name not in ("class", "style"):
            return {f"{name}:{end}": inner for end, inner in value.items()}
        if cls.takes_rest or name in GLOBAL_ATTRIBUTES or name in cls.own_attributes or _MARKS.intersection(name):
            return {name: value}
        known = [one.name.removesuffix("_") for one in cls.options()]
        raise TemplateSyntaxError(
            f"{cls.component} has no argument {name!r}. {_guess(name, [*known, *cls.own_attributes], known)} "
            f"Attributes that it does not know are passed on in attrs:{name}=…"
        )

    def _checked(cls, one: Field[Any], value: Any) -> Any:
        hint = cls.hints()[one.name]
        if get_origin(hint) is Literal and value not in get_args(hint):
            allowed = [str(word) for word in get_args(hint)]
            name = one.name.removesuffix("_")
            raise TemplateSyntaxError(f"{cls.component}: {name}={value!r}. {_guess(str(value), allowed, allowed)}")
        if hint is bool and not isinstance(value, bool):
            raise TemplateSyntaxError(f"{cls.component}: {one.name}={value!r}. Write {one.name}=True or False.")
        return value

    _hints: dict[str, Any]
    component: str
    own_attributes: frozenset[str]
    takes_rest: bool


class Options(metaclass=_Typed):
    """What a component is given.  ``attrs`` are attributes for its element."""

    component: ClassVar[str] = ""
    own_attributes: ClassVar[frozenset[str]] = frozenset()
    takes_rest: ClassVar[bool] = False  # any name is welcome among attrs

    attrs: dict[str, Any] = field(default_factory=dict)


class LiveComponent(Component):
    """A component of the library.  Subclasses give ``Kwargs`` and ``show()``; the template is named after them."""

    Kwargs: ClassVar[type[Options]]
    positional: ClassVar[tuple[str, ...]] = ()
    slot_help: ClassVar[Mapping[str, str]] = {}  # name of a slot -> what it is for
    own_attributes: ClassVar[str] = ""  # attributes of its element that HTML gives to few others

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.Kwargs.component = cls.registered_as()
        cls.Kwargs.own_attributes = frozenset(cls.own_attributes.split())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._load_once()
        super().__init__(*args, **kwargs)

    @classmethod
    def registered_as(cls) -> str:
        """``LiveButton`` is ``live_button``."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in cls.__name__).lstrip("_")

    @classmethod
    def _load_once(cls) -> None:
        # django-components marks a class as loaded before it is: a second thread would render nothing.
        if cls not in _loaded:
            with _first_load:
                assert cls.template is not None or cls.template_file
                _loaded.add(cls)

    def show(self, given: Any) -> dict[str, Any]:
        """What the template finds under ``shown``."""
        raise NotImplementedError

    def get_template_data(self, args: Any, kwargs: Any, slots: Any, context: Any) -> dict[str, Any]:
        name = self.registered_as()
        if len(args) > len(self.positional):
            expected = ", ".join(self.positional) or "none"
            raise TemplateSyntaxError(f"{name} got {len(args)} values by position. It takes: {expected}.")
        self._check_slots(name, slots)
        given = dict(zip(self.positional, args, strict=False))
        chosen = replace_checked(kwargs, given)
        if parts().is_strict:
            check_loading_names(getattr(chosen, "for_", ""), self.request)
        shown = self.show(chosen)
        return {"shown": {**shown, "slots": {slot: slot in slots for slot in self.slot_help}}}

    def _check_slots(self, name: str, slots: Iterable[str]) -> None:
        for slot in slots:
            if slot not in self.slot_help and slot != "default":
                raise TemplateSyntaxError(
                    f"{name} has no slot {slot!r}. {_guess(slot, self.slot_help, list(self.slot_help))}"
                )


def replace_checked(given: Options, values: Mapping[str, Any]) -> Options:
    """``given`` with what was passed by position."""
    cls = cast(_Typed, type(given))
    known = {one.name: one for one in cls.options()}
    changes = {name: cls._checked(known[name], value) for name, value in values.items()}
    return cast(Options, replace(cast(Any, given), **changes))


def trigger_attributes(event: str, handler: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The attributes of ``{% on event handler **values %}``."""
    return on(event, handler, values=values)


def loading_attributes(*directives: str, given: Any, **more: Any) -> dict[str, str]:
    """The attributes of ``{% loading %}`` for those of its options that ``given`` has and that are set."""
    options = {name: getattr(given, name, getattr(given, f"{name}_", "")) for name in _LOADING}
    return loading(*directives, **{name: value for name, value in options.items() if value not in ("", None)}, **more)


def merged(own: Mapping[str, Any], passed: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` attributes of an element and those ``passed`` on: classes are joined, else the passed one counts."""
    classes = merge_attributes({"class": own.get("class", "")}, {"class": passed.get("class", "")})
    # A template's literals are marked safe, quotes and all: without the mark `{% html_attrs %}` escapes them.
    return {
        name: value + "" if isinstance(value, SafeString) else value
        for name, value in {**own, **passed, **classes}.items()
    }


def is_pushed() -> bool:
    """Whether this render is sent as a fragment, now or at the next change: no script may be in it."""
    return current_rendering.get() is not None or is_sending()


def view_html(context: Context, request: HttpRequest | None, view: Any, options: Mapping[str, Any]) -> SafeString:
    """The root of a live view in this place; "" for a user without permission."""
    if "request" in context or request is None:
        return live(context, view, **options)
    with context.push(request=request):  # a component that is given `only` its own values
        return live(context, view, **options)


def toasts_html(request: HttpRequest | None, *, messages: bool = False) -> SafeString:
    """The place for toasts with the user's notices; "" in a live view, which holds none, and without a request."""
    if request is None or is_pushed():
        return SafeString("")
    return toasts(Context({"request": request}), messages)


def progress_addresses(session: Any, request: HttpRequest | None) -> dict[str, str]:
    """Where a POST of this user cancels or retries a ``ProgressSession``; "" where they cannot."""
    kept = keeping().load(str(getattr(session, "session_id", session) or ""))
    if kept is None or not is_owner(kept.session.owner, viewers_of(request)):
        return {"cancel": "", "retry": ""}
    context = progress_context(kept, Card(may_cancel=True, url=reverse("htmx_live:progress", args=["GRANT"])))
    return {"cancel": context["cancel_url"], "retry": context["retry_url"]}


def default_of(one: Field[Any]) -> Any:
    """The default of an option, or "" where it must be given."""
    return "" if one.default is MISSING else one.default


def _guess(word: str, among: Iterable[str], shown: Iterable[str]) -> str:
    close = get_close_matches(word, list(among), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It knows: {', '.join(shown) or 'none'}."


def check_loading_names(names: Any, request: HttpRequest | None) -> None:
    """Raise ``TemplateSyntaxError`` for a name in ``for=`` that can match nothing on the page of ``request``.

    What htmx loads, and a fragment that is sent, may be put into a live view: there a name outside of one is allowed.
    """
    words = (names if isinstance(names, str) else " ".join(map(str, names or ()))).split()
    rendering = current_rendering.get()
    if rendering is not None and rendering.live is not None:
        check_names(words, type(rendering.live), rendering.handlers)
    if rendering is not None or request is None or is_sending() or "HX-Request" in request.headers:
        return
    for word in words:
        if not word.startswith("*:"):
            raise TemplateSyntaxError(
                f'{{% loading for="{word}" %}} stands outside of a live view, where it matches nothing. '
                f'Put it into the template of a live view, or write for="*:{word}" for any view.'
            )
