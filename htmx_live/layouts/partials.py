"""Which requests want a view's own HTML only, without the layout around it: detectors and smart routing.

A detector is a callable ``(request) -> bool`` named in ``PARTIAL_DETECTORS``.

Smart routing is for links that htmx loads: where the page that the browser shows (a cookie knows) has the target's
layout, the answer is the view's HTML for the content's place; where it has another, the answer is the full page for
the body.  A request with a target of its own gets the view's HTML and is sent nowhere else; a restored history
entry is always a full page.
"""

import logging
from collections.abc import Callable
from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

from htmx_live.core.conf import moved_path
from htmx_live.layouts.conf import LayoutSettings, layout_settings

__all__ = ["htmx_detector", "never_detector", "query_param_detector"]


logger = logging.getLogger("htmx_live.layouts")

Detector = Callable[[HttpRequest], bool]

_DETECTOR_HEADERS = ("HX-Request", "HX-Request-Type", "HX-History-Restore-Request")


def never_detector(request: HttpRequest) -> bool:
    """Never partial."""
    return False


def htmx_detector(request: HttpRequest) -> bool:
    """Partial for htmx's requests, unless htmx says that it wants the full page."""
    if not _is_htmx(request):
        return False
    conf, key = layout_settings(), getattr(request, "layout_key", None)
    wants_full = request.headers.get("HX-Request-Type") == "full"
    if not conf.HTMX_SMART_ROUTING or key is None:
        return not wants_full
    if is_full_page_forced(request):
        return False
    if _has_own_target(request, conf):
        return not wants_full
    return bool(request.COOKIES.get(conf.HTMX_COOKIE_NAME) == key)


def query_param_detector(request: HttpRequest) -> bool:
    """Partial where the query string says ``_partial=1``."""
    return request.GET.get("_partial") == "1"


def is_partial(request: HttpRequest, conf: LayoutSettings) -> bool:
    """Whether a detector says so; the first that does ends the search."""
    return any(_detects_partial(path, request, conf) for path in conf.PARTIAL_DETECTORS)


def add_routing_headers(request: HttpRequest, response: HttpResponseBase, conf: LayoutSettings) -> None:
    """Add what caches and htmx must know about the answer: ``Vary``, and under smart routing where it goes."""
    if conf.PARTIAL_DETECTORS:
        patch_vary_headers(response, _DETECTOR_HEADERS)
    if not conf.HTMX_SMART_ROUTING:
        return
    patch_vary_headers(response, ("HX-Target", "Cookie"))
    partial = getattr(request, "is_layout_partial", False)
    if _is_htmx(request) and (is_full_page_forced(request) or not _has_own_target(request, conf)):
        target = (
            {"HX-Retarget": conf.HTMX_CONTENT_TARGET} if partial else {"HX-Retarget": "body", "HX-Reswap": "outerHTML"}
        )
        for name, value in target.items():
            response.headers.setdefault(name, value)
    if not partial:
        _set_layout_cookie(request, response, conf)


@cache
def load_detector(path: str) -> Detector:
    """The callable at a dotted path; ``ImproperlyConfigured`` where there is none."""
    try:
        found: Detector = import_string(path)
    except ImportError as error:
        reason = f"it has moved, use {new!r}." if (new := moved_path(path)) else error
        raise ImproperlyConfigured(f'HTMX_LIVE["LAYOUTS"]["PARTIAL_DETECTORS"]: {path!r}: {reason}') from error
    return found


def _detects_partial(path: str, request: HttpRequest, conf: LayoutSettings) -> bool:
    detect = load_detector(path)
    try:
        return bool(detect(request))
    except Exception:  # a detector is the project's code; without an answer the page is whole
        if conf.DETECTOR_RAISE_EXCEPTIONS:
            raise
        logger.warning("The detector %s failed and counts as 'no'", path, exc_info=True)
        return False


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-History-Restore-Request") != "true"


def is_full_page_forced(request: HttpRequest) -> bool:
    """Whether the view or a middleware asked for the full page."""
    return bool(getattr(request, "layouts_force_full", False))


def _has_own_target(request: HttpRequest, conf: LayoutSettings) -> bool:
    """Whether the request names a target that is neither its own element (the default) nor the body nor the content.

    htmx 4 sends ``HX-Target: tag#id`` and ``HX-Source``; htmx 2 the target's bare id, where there is one, and
    ``HX-Trigger``.
    """
    target = request.headers.get("HX-Target", "")
    if "HX-Source" in request.headers:
        tag, _, name = target.partition("#")
        return (
            bool(target)
            and target != request.headers["HX-Source"]
            and tag != "body"
            and f"#{name}" != conf.HTMX_CONTENT_TARGET
        )
    return bool(target) and target != request.headers.get("HX-Trigger") and f"#{target}" != conf.HTMX_CONTENT_TARGET


def _set_layout_cookie(request: HttpRequest, response: HttpResponseBase, conf: LayoutSettings) -> None:
    key = getattr(request, "layout_key", "")
    if request.COOKIES.get(conf.HTMX_COOKIE_NAME) != key:
        response.set_cookie(
            conf.HTMX_COOKIE_NAME,
            key,
            domain=conf.HTMX_COOKIE_DOMAIN,
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
