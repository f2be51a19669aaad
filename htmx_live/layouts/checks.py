"""System checks of layouts: what would fail at the first request is said at start.

htmx_live.E101  a view names a layout that is not there
htmx_live.E102  a panel names a URL that is not there
htmx_live.E103  a panel is loaded after its page, and our URLs are not included
htmx_live.E104  a setting in HTMX_LIVE["LAYOUTS"] cannot be used
"""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from htmx_live.layouts.base import dangling_references, registered_layouts
from htmx_live.layouts.conf import layout_settings
from htmx_live.layouts.detection import detector
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.parts import parts_of

__all__ = ["check_layouts", "register"]


def register() -> None:
    """Called when the apps are ready."""
    register_check(check_layouts, Tags.urls)


def check_layouts(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Every error of the list above that this project has."""
    return [*_settings(), *_references(), *_panels()]


def _settings() -> Iterator[Error]:
    try:
        for path in layout_settings().PARTIAL_DETECTORS:
            detector(path)
    except ImproperlyConfigured as error:
        hint = "Correct the key or the dotted path in settings.HTMX_LIVE."
        yield Error(str(error), hint=hint, id="htmx_live.E104")


def _references() -> Iterator[Error]:
    there = ", ".join(sorted(layout.layout_key for layout in registered_layouts())) or "none"
    for name, asker in dangling_references():
        hint = f"Layouts are declared in an installed app's layouts.py. There are: {there}."
        yield Error(f"{asker} names the layout {name!r}, which is not there.", hint=hint, id="htmx_live.E101")


def _panels() -> Iterator[Error]:
    for layout in registered_layouts():
        for name, panel in layout.layout_panels.items():
            yield from _panel(f"{layout.layout_key}.{name}", panel)


def _panel(name: str, panel: Panel) -> Iterator[Error]:
    try:
        parts_of(panel)
    except NoReverseMatch as error:
        hint = "Correct the URL name, or give the URL's arguments in Panel(context={…})."
        yield Error(f"Panel {name}: {error}", hint=hint, id="htmx_live.E102")
    if panel.comes_later and not _has_our_urls():
        hint = 'Add path("live/", include("htmx_live.urls")) to the root URLconf.'
        yield Error(
            f"Panel {name} is loaded after its page, from a URL that is not there.", hint=hint, id="htmx_live.E103"
        )


def _has_our_urls() -> bool:
    try:
        return bool(reverse("htmx_live:panel", args=["x"]))
    except NoReverseMatch:
        return False
