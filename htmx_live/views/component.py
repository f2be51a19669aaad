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

from htmx_live.events.attributes import check_loading_for, loading, on
from htmx_live.events.context import current_view
from htmx_live.messaging.notifications import toasts
from htmx_live.messaging.regions import is_sending
from htmx_live.progress.cards import Card, get_viewers, is_owner, progress_context
from htmx_live.progress.store import progress_store
from htmx_live.runtime.services import services
from htmx_live.views.embedding import live

__all__ = [
    "LiveComponent",
    "Options",
    "build_loading_attributes",
    "build_on_attributes",
    "check_loading_names",
    "get_option_default",
    "get_progress_urls",
    "is_rendered_as_fragment",
    "merge_given_attributes",
    "option",
    "render_live_view",
    "render_toasts",
]


# HTML Standard, 3.2.6 "Global attributes", those of one word.
_GLOBAL_ATTRIBUTE_NAMES = """
    accesskey autofocus class contenteditable dir draggable hidden id inert inputmode itemprop itemscope itemtype lang
    nonce part popover role slot spellcheck style tabindex title translate
"""
GLOBAL_ATTRIBUTES = frozenset(_GLOBAL_ATTRIBUTE_NAMES.split())
# An attribute's name that is no word of a component's: data-id, hx-on::after-request, @click.once, x.y
_ATTRIBUTE_MARKS = frozenset("-:@.")
_LOADING_OPTIONS = ("for", "key", "delay", "min", "display")

_load_lock = Lock()
_loaded: set[type[Component]] = set()


def option(default: Any, help: str) -> Any:
    """A field of ``Kwargs`` with its default and what it is for, in a few words: the documentation shows them."""
    return field(default=default, metadata={"help": help})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
class _OptionsMeta(type):
    """Makes each class of options a frozen dataclass whose calls are checked and sorted into fields and attributes."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "_OptionsMeta":
        options_class: Any = super().__new__(mcs, name, bases, namespace)
        return cast(_OptionsMeta, dataclass(frozen=True, kw_only=True)(options_class))

    def __call__(cls, **given: Any) -> Any:
        fields_by_name = {one.name.removesuffix("_"): one for one in cls.option_fields()}
        # `for_` is django-components' default of a field that templates know as `for`.
        values = {
            one.name: given.pop(one.name)
            for name, one in fields_by_name.items()
            if name != one.name and one.name in given
        }
        attributes = dict(given.pop("attrs", None) or {})
        for name, value in given.items():
            if name in fields_by_name:
                values[fields_by_name[name].name] = cls._check_value(fields_by_name[name], value)
            else:
                attributes |= cls._pass_attribute(name, value)
        return super().__call__(**values, attrs=attributes)

    def option_fields(cls) -> list[Field[Any]]:
        """The fields, in the order of the class."""
        return [one for one in fields(cast(Any, cls)) if one.name != "attrs"]

    def type_hints(cls) -> dict[str, Any]:
        """The type of each field."""
        if "_hints" not in vars(cls):
            cls._type_hints = get_type_hints(cls)
        return cls._type_hints

    def _pass_attribute(cls, name: str, value: Any) -> dict[str, Any]:
        """``hx-on::after-request="…"`` arrives as ``{"hx-on": {":after-request": "…"}}``."""
        if isinstance(value, Mapping) and name not in ("class", "style"):
            return {f"{name}:{suffix}": inner for suffix, inner in value.items()}
        if (
            cls.accepts_any_attribute
            or name in GLOBAL_ATTRIBUTES
            or name in cls.own_attributes
            or _ATTRIBUTE_MARKS.intersection(name)
        ):
            return {name: value}
        names = [one.name.removesuffix("_") for one in cls.option_fields()]
        raise TemplateSyntaxError(
            f"{cls.component_name} has no argument {name!r}. {_suggest(name, [*names, *cls.own_attributes], names)} "
            f"Attributes that it does not know are passed on in attrs:{name}=…"
        )

    def _check_value(cls, option_field: Field[Any], value: Any) -> Any:
        hint = cls.type_hints()[option_field.name]
        if get_origin(hint) is Literal and value not in get_args(hint):
            allowed = [str(choice) for choice in get_args(hint)]
            name = option_field.name.removesuffix("_")
            raise TemplateSyntaxError(
                f"{cls.component_name}: {name}={value!r}. {_suggest(str(value), allowed, allowed)}"
            )
        if hint is bool and not isinstance(value, bool):
            raise TemplateSyntaxError(
                f"{cls.component_name}: {option_field.name}={value!r}. Write {option_field.name}=True or False."
            )
        return value

    _type_hints: dict[str, Any]
    component_name: str
    own_attributes: frozenset[str]
    accepts_any_attribute: bool


class Options(metaclass=_OptionsMeta):
    """What a component is given.  ``attrs`` are attributes for its element."""

    component_name: ClassVar[str] = ""
    own_attributes: ClassVar[frozenset[str]] = frozenset()
    accepts_any_attribute: ClassVar[bool] = False  # any name is welcome among attrs

    attrs: dict[str, Any] = field(default_factory=dict)


class LiveComponent(Component):
    """A component of the library.  Subclasses give ``Kwargs`` and ``build_context()``; its template has its name."""

    Kwargs: ClassVar[type[Options]]
    positional_options: ClassVar[tuple[str, ...]] = ()
    slot_descriptions: ClassVar[Mapping[str, str]] = {}  # name of a slot -> what it is for
    own_attributes: ClassVar[str] = ""  # attributes of its element that HTML gives to few others

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.Kwargs.component_name = cls.get_registered_name()
        cls.Kwargs.own_attributes = frozenset(cls.own_attributes.split())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._load_once()
        super().__init__(*args, **kwargs)

    @classmethod
    def get_registered_name(cls) -> str:
        """``LiveButton`` is ``live_button``."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in cls.__name__).lstrip("_")

    @classmethod
    def _load_once(cls) -> None:
        # django-components marks a class as loaded before it is: a second thread would render nothing.
        if cls not in _loaded:
            with _load_lock:
                assert cls.template is not None or cls.template_file
                _loaded.add(cls)

    def build_context(self, options: Any) -> dict[str, Any]:
        """What the template finds under ``shown``."""
        raise NotImplementedError

    def get_template_data(self, args: Any, kwargs: Any, slots: Any, context: Any) -> dict[str, Any]:
        component_name = self.get_registered_name()
        if len(args) > len(self.positional_options):
            expected = ", ".join(self.positional_options) or "none"
            raise TemplateSyntaxError(f"{component_name} got {len(args)} values by position. It takes: {expected}.")
        self._check_slots(component_name, slots)
        positional_values = dict(zip(self.positional_options, args, strict=False))
        options = replace_options(kwargs, positional_values)
        if services().is_strict:
            check_loading_names(getattr(options, "for_", ""), self.request)
        shown = self.build_context(options)
        return {"shown": {**shown, "slots": {slot: slot in slots for slot in self.slot_descriptions}}}

    def _check_slots(self, name: str, slots: Iterable[str]) -> None:
        for slot in slots:
            if slot not in self.slot_descriptions and slot != "default":
                slots = self.slot_descriptions
                raise TemplateSyntaxError(f"{name} has no slot {slot!r}. {_suggest(slot, slots, list(slots))}")


def replace_options(options: Options, values: Mapping[str, Any]) -> Options:
    """``given`` with what was passed by position."""
    cls = cast(_OptionsMeta, type(options))
    fields_by_name = {one.name: one for one in cls.option_fields()}
    changes = {name: cls._check_value(fields_by_name[name], value) for name, value in values.items()}
    return cast(Options, replace(cast(Any, options), **changes))


def build_on_attributes(event: str, handler: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The attributes of ``{% on event handler **values %}``."""
    return on(event, handler, values=values)


def build_loading_attributes(*directives: str, options: Any, **more: Any) -> dict[str, str]:
    """The attributes of ``{% loading %}`` for those of its options that ``options`` has and that are set."""
    loading_options = {name: getattr(options, name, getattr(options, f"{name}_", "")) for name in _LOADING_OPTIONS}
    return loading(
        *directives, **{name: value for name, value in loading_options.items() if value not in ("", None)}, **more
    )


def merge_given_attributes(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` attributes of an element and those ``given``: classes are joined, else the passed one counts."""
    classes = merge_attributes({"class": own.get("class", "")}, {"class": given.get("class", "")})
    # A template's literals are marked safe, quotes and all: without the mark `{% html_attrs %}` escapes them.
    return {
        name: value + "" if isinstance(value, SafeString) else value
        for name, value in {**own, **given, **classes}.items()
    }


def is_rendered_as_fragment() -> bool:
    """Whether this render is sent as a fragment, now or at the next change: no script may be in it."""
    return current_view.get() is not None or is_sending()


def render_live_view(
    context: Context, request: HttpRequest | None, view: Any, options: Mapping[str, Any]
) -> SafeString:
    """The root of a live view in this place; "" for a user without permission."""
    if "request" in context or request is None:
        return live(context, view, **options)
    with context.push(request=request):  # a component that is given `only` its own values
        return live(context, view, **options)


def render_toasts(request: HttpRequest | None, *, messages: bool = False) -> SafeString:
    """The place for toasts with the user's notices; "" in a live view, which holds none, and without a request."""
    if request is None or is_rendered_as_fragment():
        return SafeString("")
    return toasts(Context({"request": request}), messages)


def get_progress_urls(session: Any, request: HttpRequest | None) -> dict[str, str]:
    """Where a POST of this user cancels or retries a ``ProgressSession``; "" where they cannot."""
    snapshot = progress_store().load(str(getattr(session, "session_id", session) or ""))
    if snapshot is None or not is_owner(snapshot.header.owner, get_viewers(request)):
        return {"cancel": "", "retry": ""}
    context = progress_context(snapshot, Card(may_cancel=True, url=reverse("htmx_live:progress", args=["GRANT"])))
    return {"cancel": context["cancel_url"], "retry": context["retry_url"]}


def get_option_default(option_field: Field[Any]) -> Any:
    """The default of an option, or "" where it must be given."""
    return "" if option_field.default is MISSING else option_field.default


def _suggest(name: str, among: Iterable[str], shown: Iterable[str]) -> str:
    close = get_close_matches(name, list(among), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It knows: {', '.join(shown) or 'none'}."


def check_loading_names(for_names: Any, request: HttpRequest | None) -> None:
    """Raise ``TemplateSyntaxError`` for a name in ``for=`` that can match nothing on the page of ``request``.

    What htmx loads, and a fragment that is sent, may be put into a live view: there a name outside of one is allowed.
    """
    names = (for_names if isinstance(for_names, str) else " ".join(map(str, for_names or ()))).split()
    rendering = current_view.get()
    if rendering is not None and rendering.view is not None:
        check_loading_for(names, type(rendering.view), rendering.handlers)
    if rendering is not None or request is None or is_sending() or "HX-Request" in request.headers:
        return
    for name in names:
        if not name.startswith("*:"):
            raise TemplateSyntaxError(
                f'{{% loading for="{name}" %}} stands outside of a live view, where it matches nothing. '
                f'Put it into the template of a live view, or write for="*:{name}" for any view.'
            )
