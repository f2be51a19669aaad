"""Intervals: durations as people write them, read as whole milliseconds.

The words for what can go wrong, by HTTP status or a name of ours: a title, and the text of page and toast.

In a text, ``{}`` is the parameter's name (422), the error's id (500) or, under ``DEBUG``, the reason (csrf).

Redirects: where a view's code may send its user.

Outages: a store that goes away is logged once, and once when it is back, with counts of what failed meanwhile.

Each open stream, request and job notices an outage by itself.  They count what fails, so that the log of a process with
10,000 streams has two lines.
"""

import logging
import math
import re
import threading
import time
from collections import Counter
from typing import Literal

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import RefusedValue, StoreUnavailable

__all__ = [
    "ERROR_TEXTS",
    "TAG_NAME",
    "Outage",
    "error_text",
    "log_unavailable",
    "parse_milliseconds",
    "validate_redirect_url",
]


TAG_NAME = re.compile(r"[a-z][a-z0-9-]*")  # of an HTML element

_INTERVAL = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|)\s*", re.ASCII)
_MILLISECONDS_PER_UNIT = {"ms": 1, "s": 1000}


def parse_milliseconds(value: object, *, unit: Literal["ms", "s"] = "ms") -> int:
    """``value`` in milliseconds: ``"200ms"``, ``"0.5s"``, or a number of ``unit``; ``ValueError`` for anything else."""
    number, written = value, unit
    if isinstance(value, str) and (match := _INTERVAL.fullmatch(value)):
        number, written = float(match[1]), match[2] or unit  # type: ignore[assignment]
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) and number >= 0:
        return round(number * _MILLISECONDS_PER_UNIT[written])
    unit_name = {"ms": "milliseconds", "s": "seconds"}[unit]
    raise ValueError(
        f"{value!r} is no interval. Write a number of {unit_name} that is not negative, '200ms' or '0.5s'."
    )


LazyText = str | Promise

_EXPIRED = _("This page has expired"), _("This page has expired. Reload it to go on.")

ERROR_TEXTS: dict[int | str, tuple[LazyText, LazyText]] = {
    400: (_("That did not work"), _("That did not work.")),
    401: _EXPIRED,
    403: (_("Not allowed"), _("You are signed out, or not allowed to do this.")),
    "csrf": (
        _("This page has expired"),
        _("This page's security token is out of date. Reload the page to go on. {}"),
    ),
    404: _EXPIRED,
    409: (_("Busy"), _("This is busy with something else.")),
    410: _EXPIRED,
    413: (_("Too large"), _("That is too large.")),
    422: (_("Check your input"), _("That value does not fit: {}")),
    429: (_("Too many at once"), _("Too many requests. Please wait a moment.")),
    500: (_("Something went wrong"), _("Something went wrong. We wrote it down as {}.")),
    503: (_("Not available at the moment"), _("The service is not available at the moment.")),
    "remounted": (_("This page has expired"), _("The server has reset this page. Please repeat your last action.")),
}


def error_text(status: int | str, detail: str = "") -> tuple[str, str]:
    """Title and text for ``status``, translated, with ``what`` in its place."""
    title, text = ERROR_TEXTS.get(status, ERROR_TEXTS[500])
    return str(title), str(text).replace("{}", detail).rstrip(": ")


def validate_redirect_url(url: str, request: HttpRequest) -> str:
    """``url`` when it stays on this host or one of ``REDIRECT_HOSTS``; otherwise ``RefusedValue``."""
    is_malformed = "\\" in url or any(ord(character) < 33 or ord(character) == 127 for character in url)
    is_malformed = is_malformed or (url.startswith("//") and url[2:3] in ("", "?", "#"))  # a host that is empty
    hosts = {request.get_host(), *settings().REDIRECT_HOSTS}
    if is_malformed or not url_has_allowed_host_and_scheme(url, allowed_hosts=hosts, require_https=request.is_secure()):
        raise RefusedValue(
            "redirect() got an address that leaves this site. Add its host to HTMX_LIVE['REDIRECT_HOSTS'] to allow it."
        )
    return url


class Outage:
    """One time during which the store is away.  It has been logged."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count_failure(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def summary(self) -> str:
        """How long it lasted, and what failed how often, the most frequent first."""
        with self._lock:
            counts = ", ".join(f"{number} {what}" for what, number in self._counts.most_common())
        return f"after {time.monotonic() - self._started_at:.1f} s; failed meanwhile: {counts or 'nothing'}"


def log_unavailable(logger: logging.Logger, error: StoreUnavailable, kind: str, message: str, *args: object) -> None:
    """Log a warning that something failed because of ``error``; in an outage only count it, as one of ``what``."""
    if isinstance(error.outage, Outage):
        error.outage.count_failure(kind)
    level = logging.DEBUG if error.outage else logging.WARNING
    logger.log(level, f"{message}: %s", *args, error)
