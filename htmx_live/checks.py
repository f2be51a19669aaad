"""System checks: what cannot work is said before the first request, each with an id and a hint."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth.mixins import AccessMixin
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.checks import register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from htmx_live.conf import installed_middleware, settings
from htmx_live.live import Live
from htmx_live.transport import eventstream

__all__ = ["register"]

_MIDDLEWARE = "htmx_live.middleware.LiveMiddleware"


def register() -> None:
    for check in (check_settings, check_middleware, check_urls, check_views, check_eventstream):
        register_check(check, Tags.compatibility)


def check_settings(**kwargs: Any) -> Iterable[CheckMessage]:
    try:
        chosen = settings()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct the key in HTMX_LIVE.", id="htmx_live.E001")]
    found: list[CheckMessage] = []
    for key in ("STORE", "AROUND"):
        path = getattr(chosen, key)
        if path and not _imports(path):
            hint = f"Give HTMX_LIVE[{key!r}] the dotted path of something that can be imported."
            found.append(
                Error(f"HTMX_LIVE[{key!r}] is {path!r}, which cannot be imported.", hint=hint, id="htmx_live.E002")
            )
    if chosen.RUNNER not in ("thread", "immediate", "celery", "tasks") and not _imports(chosen.RUNNER):
        hint = "Use 'thread', 'celery', 'tasks', or the dotted path of a runner."
        found.append(Error(f"HTMX_LIVE['RUNNER'] is {chosen.RUNNER!r}.", hint=hint, id="htmx_live.E003"))
    if chosen.RUNNER in ("celery", "tasks") and not chosen.REDIS_URL and not chosen.STORE:
        hint = "Set HTMX_LIVE['REDIS_URL'], for example to redis://127.0.0.1:6379/0, for web processes and workers."
        text = f"HTMX_LIVE['RUNNER'] is {chosen.RUNNER!r}, and its workers would find no record in their own memory."
        found.append(Error(text, hint=hint, id="htmx_live.E005"))
    if chosen.TICKS not in ("web", "command"):
        hint = "Use 'web', or 'command' and run manage.py live_ticks."
        found.append(Error(f"HTMX_LIVE['TICKS'] is {chosen.TICKS!r}.", hint=hint, id="htmx_live.E004"))
    return found


def check_middleware(**kwargs: Any) -> Iterable[CheckMessage]:
    installed = list(installed_middleware())
    if _MIDDLEWARE not in installed:
        hint = f"Add {_MIDDLEWARE!r} to MIDDLEWARE, after the session and authentication middlewares."
        return [Error("LiveMiddleware is missing: pages would carry no grants.", hint=hint, id="htmx_live.E010")]
    late = [
        name
        for name in ("SessionMiddleware", "AuthenticationMiddleware", "HtmxMiddleware")
        for path in installed[installed.index(_MIDDLEWARE) :]
        if path.endswith(f".{name}")
    ]
    if late:
        hint = f"Move {_MIDDLEWARE!r} below {', '.join(late)} in MIDDLEWARE."
        return [Error("LiveMiddleware stands before what it builds on.", hint=hint, id="htmx_live.E011")]
    return []


def check_urls(**kwargs: Any) -> Iterable[CheckMessage]:
    try:
        reverse("htmx_live:sync")
    except NoReverseMatch:
        hint = "Add path('live/', include('htmx_live.urls')) to your URLconf."
        return [Error("The URLs of htmx_live are not included.", hint=hint, id="htmx_live.E012")]
    return []


def check_views(**kwargs: Any) -> Iterable[CheckMessage]:
    return [
        Error(
            f"{cls.__module__}.{cls.__qualname__} uses {AccessMixin.__name__}'s family, which live views never ask.",
            hint="Use login_required = True, permission_required = (…) or has_permission() of LiveView instead.",
            id="htmx_live.E020",
        )
        for cls in _subclasses(Live)
        if issubclass(cls, AccessMixin)
    ]


def check_eventstream(**kwargs: Any) -> Iterable[CheckMessage]:
    reason = eventstream.install() if apps.is_installed("django_eventstream") else ""
    if not reason:
        return []
    hint = "Install the version that htmx_live asks for. Its own streams work; send_event() keeps the package's limits."
    return [Warning(f"django-eventstream is left as it is: {reason}", hint=hint, id="htmx_live.W030")]


def _imports(path: str) -> bool:
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _subclasses(cls: type) -> Iterator[type]:
    sub: type
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
