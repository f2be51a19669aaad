"""Grants: signed statements in a page that its browser hands back.

A *page grant* names one page load in one tab; a *view grant* names one instance, and holds what it takes to
mount it again when its record is gone.  Both say whose they are.  A grant proves what we said, not that it still
holds: owners and permissions are checked again wherever one is used.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from django.core import signing

from htmx_live.core.exceptions import GrantError
from htmx_live.core.records import Owner

__all__ = [
    "Owner",
    "PageGrant",
    "ViewGrant",
    "random_id",
    "sign_channel",
    "sign_page",
    "sign_view",
    "unsign_channel",
    "unsign_page",
    "unsign_view",
]


# Each purpose has a salt of its own, so that a grant of one kind never passes for another.
_PAGE_SALT = "htmx_live.page"
_VIEW_SALT = "htmx_live.view"
_CHANNEL_SALT = "htmx_live.channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageGrant:
    """``page`` is 128 random bits in hex."""

    page: str
    owner: Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewGrant:
    """One instance: ``view`` is its class's dotted path, ``kwargs`` its encoded mount kwargs.

    ``epoch`` is the store's when the instance was mounted, ``earlier`` are those of the stores that had it before,
    newest last.
    """

    instance: str
    view: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    owner: Owner
    epoch: str
    key: str = ""
    tag: str = ""
    css_class: str = ""
    earlier_epochs: tuple[str, ...] = ()


def random_id() -> str:
    """128 random bits as 32 hex digits: an instance's, page's or job's id."""
    return secrets.token_hex(16)


def sign_page(grant: PageGrant) -> str:
    return signing.dumps([grant.page, grant.owner.token, grant.owner.user], salt=_PAGE_SALT)


def unsign_page(text: str, *, max_age: int) -> PageGrant:
    """The page grant in ``text``; ``GrantError`` when it is forged, expired or of another kind."""
    page, token, user = _unsign(text, _PAGE_SALT, max_age, length=3)
    return PageGrant(page=page, owner=Owner(token=token, user=user))


def sign_view(grant: ViewGrant) -> str:
    owner = grant.owner
    values = [
        grant.instance,
        grant.view,
        grant.kwargs,
        owner.token,
        owner.user,
        grant.epoch,
        grant.key,
        grant.tag,
        grant.css_class,
        grant.earlier_epochs,
    ]
    return signing.dumps(values, salt=_VIEW_SALT, compress=True)


def unsign_view(text: str, *, max_age: int) -> ViewGrant:
    """The view grant in ``text``; ``GrantError`` when it is forged, expired or of another kind."""
    instance, view, kwargs, token, user, epoch, key, tag, css_class, earlier_epochs = _unsign(
        text, _VIEW_SALT, max_age, length=10
    )
    return ViewGrant(
        instance=instance,
        view=view,
        kwargs=kwargs,
        owner=Owner(token=token, user=user),
        epoch=epoch,
        key=key,
        tag=tag,
        css_class=css_class,
        earlier_epochs=tuple(earlier_epochs),
    )


def sign_channel(channel: str, owner: Owner) -> str:
    """A statement that what ``owner`` was shown hears ``channel``."""
    return signing.dumps([channel, owner.token, owner.user], salt=_CHANNEL_SALT)


def unsign_channel(text: str, *, max_age: int) -> tuple[str, Owner]:
    """The channel in ``text``, and for whom; ``GrantError`` when it is forged, expired or of another kind."""
    channel, token, user = _unsign(text, _CHANNEL_SALT, max_age, length=3)
    return channel, Owner(token=token, user=user)


def _unsign(text: str, salt: str, max_age: int, *, length: int) -> list[Any]:
    try:
        values: list[Any] = signing.loads(text, salt=salt, max_age=max_age)
    except signing.SignatureExpired:
        raise GrantError("The grant has expired.", expired=True) from None
    except (signing.BadSignature, UnicodeEncodeError):  # JSON may hold half of a surrogate pair
        raise GrantError("The grant is missing or its signature is wrong.") from None
    if not isinstance(values, list) or len(values) != length:
        raise GrantError("The grant was signed by another version of this package.")
    return values
