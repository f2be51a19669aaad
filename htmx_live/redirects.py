"""Redirects: where a view's code may send its user."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from htmx_live.conf import settings
from htmx_live.exceptions import RefusedValue

__all__ = ["safe_url"]


def safe_url(url: str, request: HttpRequest) -> str:
    """``url`` when it stays on this host or one of ``REDIRECT_HOSTS``; otherwise ``RefusedValue``."""
    odd = "\\" in url or any(ord(character) < 33 or ord(character) == 127 for character in url)
    odd = odd or (url.startswith("//") and url[2:3] in ("", "?", "#"))  # a host that is empty
    hosts = {request.get_host(), *settings().REDIRECT_HOSTS}
    if odd or not url_has_allowed_host_and_scheme(url, allowed_hosts=hosts, require_https=request.is_secure()):
        raise RefusedValue(
            "redirect() got an address that leaves this site. Add its host to HTMX_LIVE['REDIRECT_HOSTS'] to allow it."
        )
    return url
