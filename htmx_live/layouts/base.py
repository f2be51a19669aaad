"""``Layout``: a page's frame, its panels and its queues, declared as a class and found by name.

A layout is registered as ``"<first segment of its module>.<class name>"``.

References: signed names of one panel of one page, by which the browser loads it later.

A reference says which panel, for which page (path and query), in which language, and for which user: it is good for
nobody else.  It is signed, not secret; what ``carry`` puts into it can be read in the page.

Finding layouts: the module ``layouts`` of each installed app is imported, which registers what it declares.

System checks of layouts: what would fail at the first request is said at start.

htmx_live.E101  a view names a layout that is not there
htmx_live.E102  a panel names a URL that is not there
htmx_live.E103  a panel is loaded after its page, and our URLs are not included
htmx_live.E104  a setting in HTMX_LIVE["LAYOUTS"] cannot be used
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import unquote

from django.core import signing
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, Resolver404, ResolverMatch, get_script_prefix, resolve, reverse
from django.utils import translation
from django.utils.module_loading import autodiscover_modules

from htmx_live.core.exceptions import GrantError
from htmx_live.layouts.conf import PanelError, layout_settings
from htmx_live.layouts.panels import Panel, resolve_parts
from htmx_live.layouts.partials import load_detector
from htmx_live.layouts.queues import Queue
from htmx_live.layouts.requests import LayoutContext, get_user_key

__all__ = [
    "Layout",
    "PanelReference",
    "autodiscover",
    "check_layouts",
    "get_panel_url",
    "register_layout_checks",
    "unsign_panel_reference",
]


logger = logging.getLogger("htmx_live.layouts")

_registry: dict[str, type["Layout"]] = {}

# Layouts that views ask for by name, and who asks: for the system check.
_layout_uses: dict[str, set[str]] = {}


class Layout:
    """Subclass with a ``template`` and with panels and queues as class attributes.

    They are inherited, a class's own before those of its bases; ``name = None`` removes an inherited one.
    One instance serves one request.
    """

    template: ClassVar[str]
    error_template: ClassVar[str] = "layouts/error.html"
    layout_context_defaults: ClassVar[Mapping[str, Any]] = {}

    layout_key: ClassVar[str]
    layout_panels: ClassVar[Mapping[str, Panel]]
    layout_queues: ClassVar[Mapping[str, Queue]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not isinstance(getattr(cls, "template", None), str):
            raise TypeError(f'{cls.__qualname__} has no template. Set template = "app/layout.html" on the class.')
        declared = _find_declared(cls)
        _check_reserved_names(cls, declared)
        cls.layout_panels = MappingProxyType({name: part for name, part in declared.items() if isinstance(part, Panel)})
        cls.layout_queues = MappingProxyType({name: part for name, part in declared.items() if isinstance(part, Queue)})
        cls.layout_key = f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
        _register_layout(cls)

    @staticmethod
    def resolve(name: str) -> type["Layout"]:
        """The layout registered as ``name``; ``KeyError`` lists what is there."""
        if name in _registry:
            return _registry[name]
        available = ", ".join(sorted(_registry)) or "none"
        raise KeyError(
            f"There is no layout {name!r}. There are: {available}. Layouts are found in each app's layouts.py."
        )

    def get_layout_context(self, request: HttpRequest) -> dict[str, Any]:
        """Values for the layout context, over ``layout_context_defaults`` and under what the view writes."""
        return {}

    def get_template(self, request: HttpRequest) -> str:
        return self.template

    def on_panel_error(self, request: HttpRequest, error: PanelError) -> str:
        """HTML in place of a panel that failed.  The failure is in the log already."""
        try:
            return render_to_string(self.error_template, {"error": error}, request)
        except Exception:  # part of the panel's boundary: the page lives, whatever its error template does
            logger.exception("The error template %r of panel %r failed", self.error_template, error.panel_name)
            return ""


def build_layout_context(layout: Layout, request: HttpRequest) -> LayoutContext:
    """The page's context before its view runs."""
    return LayoutContext({**copy.deepcopy(dict(layout.layout_context_defaults)), **layout.get_layout_context(request)})


def create_queues(layout: type[Layout]) -> dict[str, Queue]:
    return {name: queue.create_empty() for name, queue in layout.layout_queues.items()}


def resolve_layout(layout: type[Layout] | str) -> type[Layout]:
    return Layout.resolve(layout) if isinstance(layout, str) else layout


def record_layout_use(layout: type[Layout] | str | None, view_name: str) -> None:
    """Remember that ``view_name`` names a layout, for the system check."""
    if isinstance(layout, str):
        _layout_uses.setdefault(layout, set()).add(view_name)


def find_missing_layouts() -> list[tuple[str, str]]:
    """(layout's name, who asks for it) for each name that no layout has."""
    return sorted(
        (name, view_name) for name, askers in _layout_uses.items() if name not in _registry for view_name in askers
    )


def registered_layouts() -> list[type[Layout]]:
    return list(_registry.values())


def _find_declared(cls: type[Layout]) -> dict[str, Any]:
    """Panels and queues of ``cls`` and its bases, its own first; a name set to anything else hides an inherited one."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        for name, value in vars(base).items():
            found.setdefault(name, value)
    return {name: value for name, value in found.items() if isinstance(value, Panel | Queue)}


def _check_reserved_names(cls: type[Layout], declared: Mapping[str, Any]) -> None:
    for name, part in declared.items():
        if name == "content" and isinstance(part, Panel):
            raise TypeError(f"{cls.__qualname__}.content: the panel 'content' is the page's view. Choose another name.")
        if name in vars(Layout) or name in Layout.__annotations__:
            raise TypeError(
                f"{cls.__qualname__}.{name}: the name means something else on a Layout. Choose another name."
            )


def _register_layout(cls: type[Layout]) -> None:
    """Keep ``cls`` under its key, unless another module's layout has it.

    Classes made in functions (tests make the same ones again and again) may replace each other.
    """
    other = _registry.get(cls.layout_key)
    is_local = "<locals>" in cls.__qualname__ or (other is not None and "<locals>" in other.__qualname__)
    if (
        other is not None
        and not is_local
        and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__)
    ):
        raise TypeError(
            f"Two layouts are called {cls.layout_key!r}: {other.__module__}.{other.__qualname__} and "
            f"{cls.__module__}.{cls.__qualname__}. Rename one of them."
        )
    _registry[cls.layout_key] = cls


_SALT = "htmx_live.layouts.panel"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelReference:
    """``is_override`` panels were given to the page's view, the others are the layout's own."""

    layout: str
    panel: str
    is_override: bool
    path: str  # of the page, with its query string
    language: str
    user: str
    carried_context: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self) -> tuple[type[Layout], Panel]:
        """The layout and the panel; ``LookupError`` when the code has changed since the page was made."""
        layout = Layout.resolve(self.layout)
        match = resolve_page(self.path)
        panels = get_overrides(match.func if match else None) if self.is_override else layout.layout_panels
        panel = panels.get(self.panel)
        if panel is None:
            raise KeyError(self.panel)
        return layout, panel


def sign_panel_reference(reference: PanelReference) -> str:
    values = [
        reference.layout,
        reference.panel,
        int(reference.is_override),
        reference.path,
        reference.language,
        reference.user,
        dict(reference.carried_context),
    ]
    return signing.dumps(values, salt=_SALT, compress=True)


def unsign_panel_reference(text: str, *, max_age: int) -> PanelReference:
    """The reference in ``text``; ``GrantError`` when it is forged or older than ``max_age`` seconds."""
    try:
        layout, panel, is_override, path, language, user, carried = signing.loads(text, salt=_SALT, max_age=max_age)
    except signing.SignatureExpired:
        raise GrantError("The panel's page is too old.", expired=True) from None
    except signing.BadSignature:
        raise GrantError("The panel's reference is missing or its signature is wrong.") from None
    return PanelReference(
        layout=layout,
        panel=panel,
        is_override=bool(is_override),
        path=path,
        language=language,
        user=user,
        carried_context=carried,
    )


def get_panel_url(
    name: str, panel: Panel, *, layout: type[Layout], request: HttpRequest, context: Mapping[str, Any]
) -> str:
    """Where ``panel`` of this page can be loaded later; empty when it could not be found again there.

    Panels given to ``render_with_layout()`` are such.  May read the user from the database.
    """
    is_override = layout.layout_panels.get(name) is not panel
    match = request.resolver_match
    if is_override and get_overrides(match.func if match else None).get(name) is not panel:
        return ""
    reference = PanelReference(
        layout=layout.layout_key,
        panel=name,
        is_override=is_override,
        path=request.get_full_path(),
        language=translation.get_language() or "",
        user=get_user_key(request),
        carried_context={key: context[key] for key in panel.carry if key in context},
    )
    try:
        return reverse("htmx_live:panel", args=[sign_panel_reference(reference)])
    except TypeError as error:
        raise TypeError(f"Panel {name!r}: the values of carry={list(panel.carry)} must be JSON. {error}") from error


def get_overrides(view: Callable[..., Any] | None) -> Mapping[str, Panel]:
    """The panels that the view was decorated with, or that its class or ``as_view()`` names."""
    initkwargs = getattr(view, "view_initkwargs", {})
    found = initkwargs.get("layout_panels") or getattr(view, "layout_panels", None)
    return found or getattr(getattr(view, "view_class", None), "layout_panels", None) or {}


def resolve_page(path: str) -> ResolverMatch | None:
    """What the page's URL resolves to."""
    try:
        return resolve("/" + unquote(path.partition("?")[0]).removeprefix(get_script_prefix()))
    except Resolver404:
        return None


def autodiscover() -> None:
    """Import every app's ``layouts.py``; called when the apps are ready."""
    autodiscover_modules("layouts")


def register_layout_checks() -> None:
    """Called when the apps are ready."""
    register_check(check_layouts, Tags.urls)


def check_layouts(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Every error of the list above that this project has."""
    return [*_check_settings(), *_check_layout_names(), *_check_panels()]


def _check_settings() -> Iterator[Error]:
    try:
        for path in layout_settings().PARTIAL_DETECTORS:
            load_detector(path)
    except ImproperlyConfigured as error:
        hint = "Correct the key or the dotted path in settings.HTMX_LIVE."
        yield Error(str(error), hint=hint, id="htmx_live.E104")


def _check_layout_names() -> Iterator[Error]:
    available = ", ".join(sorted(layout.layout_key for layout in registered_layouts())) or "none"
    for name, view_name in find_missing_layouts():
        hint = f"Layouts are declared in an installed app's layouts.py. There are: {available}."
        yield Error(f"{view_name} names the layout {name!r}, which is not there.", hint=hint, id="htmx_live.E101")


def _check_panels() -> Iterator[Error]:
    for layout in registered_layouts():
        for name, panel in layout.layout_panels.items():
            yield from _check_panel(f"{layout.layout_key}.{name}", panel)


def _check_panel(name: str, panel: Panel) -> Iterator[Error]:
    try:
        resolve_parts(panel)
    except NoReverseMatch as error:
        hint = "Correct the URL name, or give the URL's arguments in Panel(context={…})."
        yield Error(f"Panel {name}: {error}", hint=hint, id="htmx_live.E102")
    if panel.is_deferred and not _are_urls_included():
        hint = 'Add path("live/", include("htmx_live.urls")) to the root URLconf.'
        yield Error(
            f"Panel {name} is loaded after its page, from a URL that is not there.", hint=hint, id="htmx_live.E103"
        )


def _are_urls_included() -> bool:
    try:
        return bool(reverse("htmx_live:panel", args=["x"]))
    except NoReverseMatch:
        return False
