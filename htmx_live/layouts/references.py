"""References: signed names of one panel of one page, by which the browser loads it later.

A reference says which panel, for which page (path and query), in which language, and for which user: it is good for
nobody else.  It is signed, not secret; what ``carry`` puts into it can be read in the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from django.core import signing
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, get_script_prefix, resolve, reverse
from django.utils import translation

from htmx_live.exceptions import GrantError
from htmx_live.layouts.base import Layout
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.requests import user_key

__all__ = ["Reference", "read", "url_of"]

_SALT = "htmx_live.layouts.panel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """``is_override`` panels were given to the page's view, the others are the layout's own."""

    layout: str
    panel: str
    is_override: bool
    path: str  # of the page, with its query string
    language: str
    user: str
    carried: Mapping[str, Any] = field(default_factory=dict)

    def find(self) -> tuple[type[Layout], Panel]:
        """The layout and the panel; ``LookupError`` when the code has changed since the page was made."""
        layout = Layout.resolve(self.layout)
        match = page_match(self.path)
        panels = overrides_of(match.func if match else None) if self.is_override else layout.layout_panels
        panel = panels.get(self.panel)
        if panel is None:
            raise KeyError(self.panel)
        return layout, panel


def sign(reference: Reference) -> str:
    values = [
        reference.layout,
        reference.panel,
        int(reference.is_override),
        reference.path,
        reference.language,
        reference.user,
        dict(reference.carried),
    ]
    return signing.dumps(values, salt=_SALT, compress=True)


def read(text: str, *, max_age: int) -> Reference:
    """The reference in ``text``; ``GrantError`` when it is forged or older than ``max_age`` seconds."""
    try:
        layout, panel, is_override, path, language, user, carried = signing.loads(text, salt=_SALT, max_age=max_age)
    except signing.SignatureExpired:
        raise GrantError("The panel's page is too old.", expired=True) from None
    except signing.BadSignature:
        raise GrantError("The panel's reference is missing or its signature is wrong.") from None
    return Reference(
        layout=layout,
        panel=panel,
        is_override=bool(is_override),
        path=path,
        language=language,
        user=user,
        carried=carried,
    )


def url_of(name: str, panel: Panel, *, layout: type[Layout], request: HttpRequest, context: Mapping[str, Any]) -> str:
    """Where ``panel`` of this page can be loaded later; empty when it could not be found again there.

    Panels given to ``render_with_layout()`` are such.  May read the user from the database.
    """
    is_override = layout.layout_panels.get(name) is not panel
    match = request.resolver_match
    if is_override and overrides_of(match.func if match else None).get(name) is not panel:
        return ""
    reference = Reference(
        layout=layout.layout_key,
        panel=name,
        is_override=is_override,
        path=request.get_full_path(),
        language=translation.get_language() or "",
        user=user_key(request),
        carried={key: context[key] for key in panel.carry if key in context},
    )
    try:
        return reverse("htmx_live:panel", args=[sign(reference)])
    except TypeError as error:
        raise TypeError(f"Panel {name!r}: the values of carry={list(panel.carry)} must be JSON. {error}") from error


def overrides_of(view: Callable[..., Any] | None) -> Mapping[str, Panel]:
    """The panels that the view was decorated with, or that its class or ``as_view()`` names."""
    initkwargs = getattr(view, "view_initkwargs", {})
    found = initkwargs.get("layout_panels") or getattr(view, "layout_panels", None)
    return found or getattr(getattr(view, "view_class", None), "layout_panels", None) or {}


def page_match(path: str) -> ResolverMatch | None:
    """What the page's URL resolves to."""
    try:
        return resolve("/" + unquote(path.partition("?")[0]).removeprefix(get_script_prefix()))
    except Resolver404:
        return None
