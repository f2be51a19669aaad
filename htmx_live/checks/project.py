"""What a project adds to its settings, URLconf and ASGI module."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.urls import NoReverseMatch, reverse

from htmx_live.checks.reading import given_settings
from htmx_live.conf import Settings, installed_middleware, project_setting
from htmx_live.transport import eventstream

__all__ = ["check_apps", "check_asgi", "check_eventstream", "check_middleware", "check_urls", "uses_live_asgi"]

_MIDDLEWARE = "htmx_live.middleware.LiveMiddleware"


@given_settings
def check_apps(chosen: Settings) -> Iterable[CheckMessage]:
    needed = {"django_components": "the components", "django_htmx": "htmx itself"}
    if chosen.HTMX_SRC:
        del needed["django_htmx"]
    for name, what in needed.items():
        if not apps.is_installed(name):
            hint = f"Add {name!r} to INSTALLED_APPS, before 'htmx_live'."
            yield Error(f"{name} is missing, which brings {what}.", hint=hint, id="htmx_live.E013")


def check_middleware(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
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


def check_urls(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        reverse("htmx_live:sync")
    except NoReverseMatch:
        hint = "Add path('live/', include('htmx_live.urls')) to your URLconf."
        return [Error("The URLs of htmx_live are not included.", hint=hint, id="htmx_live.E012")]
    return []


def check_asgi(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    module = _asgi_module()
    if not _asgi_source() or uses_live_asgi():
        return []
    text = (
        f"{module} does not use live_asgi. Every open page then costs a thread of the server, the streams pass "
        "through all middlewares, and a deployment waits for them."
    )
    hint = f"In {module}: from htmx_live.asgi import live_asgi; application = live_asgi(get_asgi_application())."
    return [Warning(text, hint=hint, id="htmx_live.W014")]


def uses_live_asgi() -> bool:
    """Whether the project's ASGI module names ``live_asgi``."""
    return "live_asgi" in _asgi_source()


def _asgi_source() -> str:
    """The text of the project's ASGI module, "" without one: importing it would set Django up a second time."""
    module = _asgi_module()
    return _source(module) if module else ""


def check_eventstream(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if project_setting("EVENTSTREAM_REDIS"):
        text = "EVENTSTREAM_REDIS is set. That listener ends for good when Redis is away for some seconds."
        hint = "Replace it with HTMX_LIVE['REDIS_URL'] in every process: send_event() then travels on our bus."
        found.append(Warning(text, hint=hint, id="htmx_live.W031"))
    reason = eventstream.install() if apps.is_installed("django_eventstream") else ""
    if reason:
        hint = "Install the version that htmx_live asks for. Streams work; send_event() keeps the package's limits."
        found.append(Warning(f"django-eventstream is left as it is: {reason}", hint=hint, id="htmx_live.W030"))
    return found


def _asgi_module() -> str:
    """The module that ASGI_APPLICATION names, else the one beside the root URLconf, where startproject puts it."""
    named, urls = project_setting("ASGI_APPLICATION"), project_setting("ROOT_URLCONF")
    if isinstance(named, str) and named:
        return named.rpartition(".")[0]
    package = urls.rpartition(".")[0] if isinstance(urls, str) else ""
    return f"{package}.asgi" if package else ""


def _source(module: str) -> str:
    """The text of a module, "" when there is none to read."""
    try:
        spec = find_spec(module)
        return Path(spec.origin).read_text(errors="replace") if spec and spec.origin else ""
    except (ImportError, ValueError, OSError):
        return ""
