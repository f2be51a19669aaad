"""``LiveView``: a live view with a page of its own."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from htmx_live.core.conf import settings
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.view import Live
from htmx_live.views.embedding import embed

__all__ = ["LiveView"]


class LiveView(Live):
    """A view whose template stays live: events, background work and pushes render it again.

    Embed it with ``{% live "app.views.ThisView" year=2026 %}``, or give it a URL with ``as_view()``.
    """

    page_template_name: ClassVar[str] = ""  # the shell of as_view(); PAGE_TEMPLATE when empty

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if args and isinstance(args[0], HttpRequest):
            raise ImproperlyConfigured(
                f"{cls.__name__} was put into the URLconf as a class. Write {cls.__name__}.as_view() there."
            )
        return super().__new__(cls)

    def get_page_context(self) -> dict[str, Any]:
        """Further variables for the shell around the view; ``{{ live }}`` is the view itself."""
        return {}

    @classmethod
    def as_view(cls, **kwargs: Any) -> Callable[..., HttpResponseBase]:
        """A view function that mounts this view with ``kwargs`` and those of the URL.

        Without permission a visitor is sent to log in, and a user gets 403.
        """

        def view(request: HttpRequest, **url_kwargs: Any) -> HttpResponseBase:
            if request.method not in ("GET", "HEAD"):
                return HttpResponseNotAllowed(["GET", "HEAD"])
            try:
                embedded = embed(cls, get_page(request), kwargs={**kwargs, **url_kwargs})
            except PermissionDenied:
                if request.user.is_authenticated:
                    raise
                return redirect_to_login(request.get_full_path())
            if embedded.redirect:
                return HttpResponseRedirect(embedded.redirect)
            return cls._page_response(request, embedded.html, embedded.view)

        view.view_class = cls  # type: ignore[attr-defined]
        view.__doc__, view.__module__, view.__name__ = cls.__doc__, cls.__module__, cls.__name__
        return view

    @classmethod
    def _page_response(cls, request: HttpRequest, html: SafeString, view: Live) -> HttpResponseBase:
        context = view.get_page_context() if isinstance(view, LiveView) else {}
        role = getattr(request, "layout_role", "")
        if role == "main":
            request.layout_context.update(context)  # type: ignore[attr-defined]
        if role:  # the content or a panel of a layout, which is the shell then
            return HttpResponse(html)
        template = cls.page_template_name or settings().PAGE_TEMPLATE
        return TemplateResponse(request, template, {**context, "live": html, "view": view})
