"""What the tests of layouts share: templates from a dict, a clean registry, and the two ways to render a page."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from htmx_live.layouts import Layout, async_layout, async_render_with_layout, base, layout, render_with_layout

Templates = Callable[[dict[str, str]], None]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Layouts that a test declares are gone after it."""
    layouts, references = dict(base._registry), copy.deepcopy(base._layout_uses)
    yield
    for kept, saved in ((base._registry, layouts), (base._layout_uses, references)):
        kept.clear()
        kept.update(saved)


@pytest.fixture
def templates() -> Iterator[Templates]:
    """Call it with name -> text to add templates."""
    texts: dict[str, str] = {}
    engine = copy.deepcopy(settings.TEMPLATES)
    engine[0]["APP_DIRS"] = False
    found = [f"django.template.loaders.{kind}.Loader" for kind in ("filesystem", "app_directories")]
    loaders = [("django.template.loaders.locmem.Loader", texts), *found]
    engine[0]["OPTIONS"]["loaders"] = loaders
    with override_settings(TEMPLATES=engine):
        yield texts.update


@pytest.fixture
def get() -> Callable[..., HttpRequest]:
    return RequestFactory().get


def answer(html: str = "main", **options: Any) -> Callable[[HttpRequest], HttpResponse]:
    """A view that answers this."""
    return lambda request: HttpResponse(html, **options)


def text(response: Any) -> str:
    content: str = response.content.decode(response.charset)
    return content


@dataclass(frozen=True)
class Way:
    """``@layout`` or ``@async_layout``, called alike."""

    is_async: bool

    def wrap(self, frame: type[Layout] | str, view: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        if not self.is_async:
            return layout(frame, **options)(view)

        async def aview(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return view(request, *args, **kwargs)

        return async_to_sync(async_layout(frame, **options)(aview))

    def page(self, frame: type[Layout] | str, request: HttpRequest, view: Any = None, **options: Any) -> Any:
        return self.wrap(frame, view or answer(), **options)(request)

    def render(self, *args: Any, **kwargs: Any) -> Any:
        """``render_with_layout``."""
        return (async_to_sync(async_render_with_layout) if self.is_async else render_with_layout)(*args, **kwargs)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)
