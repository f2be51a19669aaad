"""Grants of progress: who may read a session by its address, and who may cancel it.

A *read* grant stands in the address of a status page and holds for the viewer to whom it was given.  A *control* grant
stands in the buttons of a card; of a session with an owner it works for the owner only.  Neither opens the
other's door.  Everything that is wrong with one, and everything that it names and is not there, is one and
the same ``GrantError``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.http import HttpRequest

from htmx_live.conf import settings
from htmx_live.exceptions import GrantError
from htmx_live.owners import owners_of
from htmx_live.progress.keeping import keeping
from htmx_live.progress.values import Session
from htmx_live.records import Owner
from htmx_live.rendering import current_rendering

__all__ = ["ProgressGrant", "is_owner", "sign_control", "sign_read", "unsign", "viewer_of", "viewers_of"]

_SALT = "htmx_live.progress"
_READ, _CONTROL = "read", "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressGrant:
    """``may_control``: cancel and try again; ``redirect`` is where a status page without JavaScript goes at the end."""

    session: str
    may_control: bool
    redirect: str = ""


def sign_read(session: Session, viewer: Owner, *, redirect: str = "", now: float | None = None) -> str:
    """A grant for ``viewer``, for ``GRANT_MAX_AGE`` seconds from ``now``."""
    issued = int(keeping().now() if now is None else now)
    return _sign([_READ, session.id, issued, viewer.token, viewer.user, redirect])


def sign_control(session: Session) -> str:
    """The same text each time, so that buttons that are drawn anew do not change."""
    return _sign([_CONTROL, session.id, int(session.created), session.owner.token, session.owner.user, ""])


def unsign(text: str, request: HttpRequest, *, now: float | None = None) -> ProgressGrant:
    """The grant in ``text``, if it is for who asks."""
    try:
        kind, session, issued, token, user, redirect = signing.Signer(salt=_SALT).unsign_object(text)
    except (signing.BadSignature, ValueError, TypeError, UnicodeError):
        raise GrantError("The grant is missing or its signature is wrong.") from None
    given_to, asking = Owner(token=token, user=user), owners_of(request)
    if (keeping().now() if now is None else now) - issued > settings().GRANT_MAX_AGE:
        raise GrantError("The grant has expired.")
    if given_to != Owner() and not is_owner(given_to, asking):
        raise GrantError("The grant was given to somebody else.")
    return ProgressGrant(session=session, may_control=kind == _CONTROL, redirect=redirect)


def is_owner(owner: Owner, asking: Sequence[Owner]) -> bool:
    """Whether one of those who ask is the owner: the same user, or the same visitor, who may have logged in since."""
    if owner.user:
        return owner.user in {one.user for one in asking}
    return owner.token != "" and owner.token in {one.token for one in asking}


def viewer_of(request: HttpRequest | None) -> Owner:
    """For whom something is being rendered: a live view's owner, or the request's."""
    return viewers_of(request)[0]


def viewers_of(request: HttpRequest | None) -> tuple[Owner, ...]:
    """``viewer_of()``, and the other owners that the request may act for."""
    around = current_rendering.get()
    if around is not None:
        return (around.live._live.record.owner,)
    return (Owner(),) if request is None else owners_of(request)


def _sign(values: list[Any]) -> str:
    return signing.Signer(salt=_SALT).sign_object(values, compress=False)
