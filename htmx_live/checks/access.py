"""What would let the wrong people in."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth.mixins import AccessMixin
from django.core.checks import CheckMessage, Error, Warning
from django.urls import URLResolver, get_resolver
from django.utils.module_loading import import_string

from htmx_live.checks.reading import given_settings
from htmx_live.checks.values import imports
from htmx_live.conf import Settings, installed_middleware, project_setting, session_engine
from htmx_live.live import Live

__all__ = ["check_channel_manager", "check_cors", "check_csrf", "check_sessions", "check_views"]

_STOCK_MANAGER = "django_eventstream.channelmanager.DefaultChannelManager"


def check_views(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{cls.__module__}.{cls.__qualname__} uses {AccessMixin.__name__}'s family, which live views never ask.",
            hint="Use login_required = True, permission_required = (…) or has_permission() of LiveView instead.",
            id="htmx_live.E020",
        )
        for cls in _subclasses(Live)
        if issubclass(cls, AccessMixin)
    ]


def check_cors(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """django-cors-headers answers ``*`` with the asker's own origin where credentials are allowed: all may read all."""
    anybody = project_setting("CORS_ALLOW_ALL_ORIGINS") or project_setting("CORS_ORIGIN_ALLOW_ALL")
    if not (anybody and project_setting("CORS_ALLOW_CREDENTIALS")):
        return []
    text = "CORS_ALLOW_ALL_ORIGINS with CORS_ALLOW_CREDENTIALS: any site may read pages as their user."
    hint = "Name the origins in CORS_ALLOWED_ORIGINS, or switch CORS_ALLOW_CREDENTIALS off."
    return [Error(text, hint=hint, id="htmx_live.E021")]


def check_channel_manager(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Find event URLs of the project's own on which a visitor may write any channel.

    They are warnings: the project had them before it added htmx_live, and no channel of a live page is among them.
    """
    path = project_setting("EVENTSTREAM_CHANNELMANAGER_CLASS") or _STOCK_MANAGER
    if not isinstance(path, str) or not imports(path):
        hint = "Give it the dotted path of a channel manager, or leave it out."
        text = f"EVENTSTREAM_CHANNELMANAGER_CLASS is {path!r}, which cannot be imported."
        return [Error(text, hint=hint, id="htmx_live.E023")]
    manager, stock = import_string(path), import_string(_STOCK_MANAGER)
    deciding = ("can_read_channel", "get_channels_for_request")
    if any(getattr(manager, name, None) is not getattr(stock, name) for name in deciding):
        return []
    return [
        Warning(
            f"Anybody can read any channel of send_event() through the event URL {route!r}.",
            hint="Write a channel manager with can_read_channel() and name it in EVENTSTREAM_CHANNELMANAGER_CLASS, or "
            'fix the URL\'s channels: path("events/", include("django_eventstream.urls"), {"channels": ["news"]}).',
            id="htmx_live.W022",
        )
        for route in _open_event_urls()
    ]


def _open_event_urls() -> list[str]:
    """The routes of django-eventstream's view whose channels come from the visitor's URL."""
    events = import_string("django_eventstream.views.events")
    return [
        route
        for route, callback, fixed in _routes(get_resolver())
        if callback is events and ("format-channels" in fixed or not fixed.keys() & {"channels", "channel"})
    ]


def _routes(resolver: URLResolver) -> Iterator[tuple[str, object, dict[str, Any]]]:
    """Each view below a resolver: its route, the view, and the arguments that the URLconf fixes."""
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            for route, callback, fixed in _routes(each):
                yield f"{each.pattern}{route}", callback, {**each.default_kwargs, **fixed}
        else:
            yield str(each.pattern), each.callback, each.default_args


def check_csrf(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    if any(path.endswith(".CsrfViewMiddleware") for path in installed_middleware()):
        return []
    hint = "Add 'django.middleware.csrf.CsrfViewMiddleware' to MIDDLEWARE."
    return [Error("Without CsrfViewMiddleware any site may post a user's events.", hint=hint, id="htmx_live.E024")]


@given_settings
def check_sessions(chosen: Settings) -> Iterable[CheckMessage]:
    if not any(path.endswith(".SessionMiddleware") for path in installed_middleware()):
        text = "Without SessionMiddleware a live view belongs to whoever has its grant."
        hint = "Add 'django.contrib.sessions.middleware.SessionMiddleware' to MIDDLEWARE."
        yield Warning(text, hint=hint, id="htmx_live.W025")
    elif session_engine().endswith(".signed_cookies"):
        text = "Sessions live in cookies (signed_cookies): one that was copied works on after its user has logged out."
        hint = "Use another SESSION_ENGINE, such as 'django.contrib.sessions.backends.cached_db'."
        yield Warning(text, hint=hint, id="htmx_live.W026")
    elif chosen.REDIS_URL and session_engine().endswith(".cache") and _is_private(_session_cache()):
        text = "Sessions live in the memory of one process, while HTMX_LIVE['REDIS_URL'] says that there are several."
        hint = "Point SESSION_CACHE_ALIAS at a cache that all processes share, or use another SESSION_ENGINE."
        yield Error(text, hint=hint, id="htmx_live.E027")


def _session_cache() -> str:
    alias = project_setting("SESSION_CACHE_ALIAS", "default")
    caches = project_setting("CACHES", {})
    return str(caches.get(alias, {}).get("BACKEND", ""))


def _is_private(backend: str) -> bool:
    """Whether a cache is another one in each process, or keeps nothing."""
    return backend.endswith((".LocMemCache", ".DummyCache"))


def _subclasses(cls: type) -> Iterator[type]:
    sub: type
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
