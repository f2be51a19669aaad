"""The words for what can go wrong, by HTTP status or a name of ours: a title and what to do."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

__all__ = ["WORDS", "words"]

Text = str | Promise

WORDS: dict[int | str, tuple[Text, Text]] = {
    400: (_("That did not work"), _("The request could not be read. Reload the page and try again.")),
    401: (_("This page has expired"), _("Reload the page to go on.")),
    403: (_("Not allowed"), _("You may not do this, or you are no longer signed in.")),
    "csrf": (
        _("This page has expired"),
        _("The security token of the page is out of date. Go back, reload the page and send the form again."),
    ),
    404: (_("This is no longer here"), _("Reload the page to see its present state.")),
    409: (_("Busy"), _("Something else is still being done here. Try again in a moment.")),
    410: (_("This page has expired"), _("Its earlier state is gone. Check what you see and do it again.")),
    413: (_("Too large"), _("What you sent is larger than this site allows.")),
    422: (_("Check your input"), _("A value does not fit.")),
    429: (_("Too many at once"), _("Wait a moment and try again.")),
    500: (_("Something went wrong"), _("It has been noted. Try again, or reload the page.")),
    503: (_("Not available at the moment"), _("Try again in a moment.")),
}


def words(status: int | str) -> tuple[str, str]:
    """Title and text for ``status``, translated."""
    title, text = WORDS.get(status, WORDS[500])
    return str(title), str(text)
