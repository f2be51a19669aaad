"""When a panel's output is kept, and for whom: the rules that ``Panel(cache=…)`` takes.

    nav = Panel("shop:nav", cache=cache.per_user(timeout=900))

The key holds the layout, the panel's name and source, the language, the time zone, and what the rule varies by.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.cache import BaseCache, caches
from django.http import HttpRequest
from django.utils import timezone, translation

__all__ = ["CacheRule", "custom", "per_path", "per_session", "per_user", "per_user_per_path", "sitewide"]


logger = logging.getLogger("htmx_live.layouts")

Vary = Callable[[HttpRequest], "str | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRule:
    """``vary`` gives what tells entries apart, or ``None`` for "do not cache this one".

    ``timeout`` is seconds, ``None`` for ever; ``backend`` an alias in ``CACHES``, by default ``CACHE_BACKEND``.
    """

    vary: Vary
    timeout: float | None
    backend: str | None = None


def sitewide(timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry for everybody."""
    return CacheRule(vary=lambda request: "", timeout=timeout, backend=backend)


def per_user(timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry per user; all anonymous visitors share one."""
    return CacheRule(vary=_vary_by_user, timeout=timeout, backend=backend)


def per_path(timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry per path of the page, whatever its query string."""
    return CacheRule(vary=lambda request: request.path, timeout=timeout, backend=backend)


def per_user_per_path(timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry per user and path."""
    return CacheRule(vary=lambda request: f"{_vary_by_user(request)} {request.path}", timeout=timeout, backend=backend)


def per_session(timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry per session.  A visitor whose session has no key yet is not cached."""
    return CacheRule(vary=_vary_by_session, timeout=timeout, backend=backend)


def custom(key_func: Callable[[HttpRequest], str], timeout: float | None, *, backend: str | None = None) -> CacheRule:
    """One entry per result of ``key_func(request)``."""
    return CacheRule(vary=key_func, timeout=timeout, backend=backend)


def build_cache_key(parts: tuple[str, ...], vary: str) -> str:
    """A key that every cache backend takes; ``parts`` say which panel of which layout it is."""
    surroundings = (translation.get_language() or "", timezone.get_current_timezone_name(), vary)
    digest = hashlib.sha256("\0".join((*parts, *surroundings)).encode()).hexdigest()
    return f"layouts:panel:{digest}"


def cache_get(rule: CacheRule, key: str, default_backend: str) -> Any:
    """The stored value or ``None``.  A cache that is down is a miss: the page can be had without it."""
    try:
        return _backend(rule, default_backend).get(key)
    except Exception:
        logger.exception("The panel cache %r could not be read", rule.backend or default_backend)
        return None


def cache_set(rule: CacheRule, key: str, value: Any, default_backend: str) -> None:
    try:
        _backend(rule, default_backend).set(key, value, rule.timeout)
    except Exception:  # as in cache_get()
        logger.exception("The panel cache %r could not be written", rule.backend or default_backend)


def _backend(rule: CacheRule, default_backend: str) -> BaseCache:
    return caches[rule.backend or default_backend]


def _vary_by_user(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return f"user {user.pk}" if user is not None and user.is_authenticated else "anonymous"


def _vary_by_session(request: HttpRequest) -> str | None:
    session = getattr(request, "session", None)
    return session.session_key if session is not None else None
