"""``LayoutMixin``: a layout around a class-based view, sync or async."""

from collections.abc import Collection, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.views import View

from htmx_live.layouts.base import Layout, note_reference
from htmx_live.layouts.draft import Draft, Frame
from htmx_live.layouts.panels import Panel
from htmx_live.layouts.rendering import abegin, afinish, finish
from htmx_live.layouts.requests import is_panel

__all__ = ["LayoutMixin"]

if TYPE_CHECKING:
    _Base = View
else:
    _Base = object


class LayoutMixin(_Base):
    """Stands before the view class: ``class Home(LayoutMixin, TemplateView)``.  See layout()."""

    layout_class: ClassVar[type[Layout] | str | None] = None
    layout_panels: Mapping[str, Panel | None] = {}
    layout_statuses: Collection[int] = (200,)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        note_reference(cls.layout_class, f"{cls.__module__}.{cls.__qualname__}")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_panel(request):
            return super().dispatch(request, *args, **kwargs)
        frame = self._frame()
        if self.view_is_async:
            return self._adispatch(frame, request, *args, **kwargs)
        draft = Draft.begin(request, frame)
        return finish(draft, super().dispatch(request, *args, **kwargs))

    async def _adispatch(self, frame: Frame, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        draft = await abegin(request, frame)
        response: Any = super().dispatch(request, *args, **kwargs)
        return await afinish(draft, await response if isawaitable(response) else response)

    def _frame(self) -> Frame:
        if self.layout_class is None:
            name = type(self).__qualname__
            raise ImproperlyConfigured(f'{name} has no layout_class. Set layout_class = "app.LayoutName" or a class.')
        return Frame(
            layout_class=self.layout_class, panels=self.layout_panels or {}, statuses=frozenset(self.layout_statuses)
        )
