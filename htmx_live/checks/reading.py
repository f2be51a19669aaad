"""Reading settings for checks: what cannot be read is the finding of one check, and of no other."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from htmx_live.checks.values import mistaken
from htmx_live.conf import Settings, settings

__all__ = ["Check", "given_settings"]

Check = Callable[..., list[CheckMessage]]


def given_settings(check: Callable[[Settings], Iterable[CheckMessage]]) -> Check:
    """A system check out of one that is given the settings.  It finds nothing where they cannot be compared."""

    def checking(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
        try:
            chosen = settings()
        except ImproperlyConfigured:
            return []
        return [] if any(mistaken(chosen)) else [*check(chosen)]

    # Not functools.wraps: Django looks at the signature, which would be that of ``check``.
    checking.__name__, checking.__module__, checking.__doc__ = check.__name__, check.__module__, check.__doc__
    return checking
