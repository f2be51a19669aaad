"""Wording: what is said of a task, in the language of the moment."""

import re

from django.utils.formats import number_format
from django.utils.translation import gettext

from htmx_live.progress.values import ProgressStatus, Row

__all__ = ["amount", "checked_url", "duration", "status_text", "task_message"]


def task_message(row: Row, status: ProgressStatus, name: str, *, is_waiting: bool = False) -> str:
    """The task's own message, or what its status says.  A final message waits until the percentage has reached 100."""
    if status is ProgressStatus.PENDING:
        return gettext("Waiting...")
    if status is ProgressStatus.QUEUED:
        return gettext("Waiting for a worker…") if is_waiting else gettext("Waiting...")
    if status is ProgressStatus.COMPLETING:
        return gettext("Completing…")
    if status is ProgressStatus.COMPLETE or row.status is ProgressStatus.COMPLETE:
        return row.message or gettext("%(name)s complete") % {"name": name}
    if status is ProgressStatus.ERROR:
        return row.message or gettext("%(name)s failed") % {"name": name}
    if status is ProgressStatus.CANCELLED:
        return gettext("%(name)s cancelled") % {"name": name}
    if status is ProgressStatus.LOST:
        return gettext("%(name)s was interrupted and did not finish") % {"name": name}
    if status is ProgressStatus.STALLED:
        return gettext("No sign of life, waiting…")
    if status is ProgressStatus.RETRYING:
        return gettext("Failed, will be tried again…")
    return row.message or gettext("Processing...")


def status_text(status: ProgressStatus) -> str:
    texts = {
        ProgressStatus.PENDING: gettext("waiting"),
        ProgressStatus.QUEUED: gettext("waiting"),
        ProgressStatus.RUNNING: gettext("running"),
        ProgressStatus.COMPLETING: gettext("running"),
        ProgressStatus.RETRYING: gettext("trying again"),
        ProgressStatus.STALLED: gettext("stalled"),
        ProgressStatus.COMPLETE: gettext("complete"),
        ProgressStatus.ERROR: gettext("failed"),
        ProgressStatus.CANCELLED: gettext("cancelled"),
        ProgressStatus.LOST: gettext("interrupted"),
    }
    return texts[status]


def checked_url(url: str) -> str:
    """``url`` as a link may have it: a path, or http(s).  ``ValueError`` for what a browser would run."""
    text = str(url)
    scheme, colon, _ = text.partition(":")
    has_scheme = bool(colon) and not re.search(r"[/?#]", scheme)
    if re.search(r"[\x00-\x20\x7f]", text) or (has_scheme and scheme.lower() not in ("http", "https")):
        raise ValueError(f"result={text!r}: expected a path such as '/exports/3/', or an http(s) URL without spaces.")
    return text


def amount(row: Row) -> str:
    """``1,200 of 5,000 rows``, or "" without a real figure."""
    if row.current is None:
        return ""
    current = _number(row.current)
    text = (
        gettext("%(current)s of %(total)s") % {"current": current, "total": _number(row.total)}
        if row.total
        else current
    )
    return f"{text} {row.unit}".strip()


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 5 min``: as exact as anybody wants to know."""
    whole = max(int(seconds + 0.5), 0)
    if whole < 60:
        return gettext("%(seconds)d s") % {"seconds": whole}
    minutes, seconds_left = divmod(whole, 60)
    if minutes < 10:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds_left}
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return gettext("%(minutes)d min") % {"minutes": minutes}
    return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes_left}


def _number(value: float) -> str:
    if value == int(value):
        return number_format(int(value), use_l10n=True, force_grouping=True)
    return number_format(round(value, 1), use_l10n=True, force_grouping=True)
