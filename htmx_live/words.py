"""The words for what can go wrong, by HTTP status or a name of ours: a title, and the text of page and toast.

In a text, ``{}`` is the parameter's name (422), the error's id (500) or, under ``DEBUG``, the reason (csrf).
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

__all__ = ["WORDS", "words"]

Text = str | Promise

_EXPIRED = _("This page has expired"), _("This page has expired. Reload it to go on.")

WORDS: dict[int | str, tuple[Text, Text]] = {
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


def words(status: int | str, what: str = "") -> tuple[str, str]:
    """Title and text for ``status``, translated, with ``what`` in its place."""
    title, text = WORDS.get(status, WORDS[500])
    return str(title), str(text).replace("{}", what).rstrip(": ")
