"""Pages: one page load in one tab, from the request that renders it to those that it makes.

A page is the address of what the server has to say.  It has an id once a live view asks for one; its grant is signed
at the end of the request, for a view in the page's body may have made the owner that it names.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import get_token
from django.utils.cache import patch_cache_control
from django.utils.html import format_html

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError
from htmx_live.core.fragments import mark
from htmx_live.core.signing import PageGrant, random_id, sign_page, unsign_page
from htmx_live.runtime.mounting import Visit
from htmx_live.runtime.owners import owner_of, owners_of, send_cookies
from htmx_live.runtime.ownership import opens_page
from htmx_live.runtime.processes import announce
from htmx_live.runtime.services import parts
from htmx_live.runtime.url_state import REFERENCE

__all__ = ["Page", "finish", "page_of", "page_slot", "sign_reference"]


_REFERENCE_SALT = "htmx_live.reference"


@dataclass(slots=True)
class Page:
    """``position`` is the bus's at the start of the request; ``is_joined``: the page was there before this request."""

    request: HttpRequest
    id: str
    position: str
    is_joined: bool = False
    is_live: bool = False  # something live was rendered
    adoptable: list[str] = field(default_factory=list)  # instances that a form without JavaScript came from
    words: dict[str, str] = field(default_factory=dict)  # by channel that it listens on; see listening.py

    def visit(self) -> Visit:
        """The page as mounting sees it; from now on it is live."""
        self.is_live = True
        return Visit(request=self.request, page=self.id, owners=lambda create: owners_of(self.request, create=create))

    def grant(self) -> str:
        return sign_page(PageGrant(page=self.id, owner=owner_of(self.request)))


def page_slot() -> str:
    """What ``{% htmx_live %}`` writes where the page's grant will stand."""
    return mark("page")


def page_of(request: HttpRequest) -> Page:
    """The page that ``request`` renders or comes from; one for all panels of a layout, which have copies of it."""
    request = getattr(request, "layout_page_request", request)
    page: Page | None = getattr(request, "_htmx_live_page", None)
    # Panels run side by side: setdefault keeps the first.
    return page or request.__dict__.setdefault("_htmx_live_page", _begin(request))


def sign_reference(page: str) -> str:
    """A short signed name of a page, under which the next GET adopts what that page showed."""
    return f"{REFERENCE}={signing.dumps(page, salt=_REFERENCE_SALT)}"


def finish(request: HttpRequest, response: HttpResponseBase) -> None:
    """Put the page's grant into a response that holds something live, and keep shared caches away from it."""
    send_cookies(request, response)
    page: Page | None = getattr(request, "_htmx_live_page", None)
    is_live = page is not None and page.is_live
    if is_live:
        announce()
        patch_cache_control(response, private=True)
    if not response.get("Content-Type", "").startswith("text/html"):
        return
    has_slot = _fill_slot(response, _attributes(page) if page is not None and is_live else "")
    if page is not None and is_live and not has_slot and not page.is_joined:
        # An htmx response brings the first live view into a page that had none.
        response["X-Live-Page"] = page.grant()
        response["X-Live-Number"] = page.position
        response["X-Live-CSRF"] = get_token(request)


def _fill_slot(response: Any, attributes: str) -> bool:
    """Whether ``response`` has a slot for a page's grant, or may have one later."""
    slot, filling = page_slot().encode(), attributes.encode()
    if response.streaming:
        chunks, filler = response.streaming_content, _Filler(slot, filling)
        response.streaming_content = _afilled(chunks, filler) if response.is_async else _filled(chunks, filler)
        return True
    if slot not in response.content:
        return False
    response.content = response.content.replace(slot, filling)
    if response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))
    return True


class _Filler:
    """Replaces ``slot`` in text that comes in chunks, which may end in the middle of a slot."""

    def __init__(self, slot: bytes, filling: bytes) -> None:
        self._slot, self._filling = slot, filling
        self.rest = b""  # of the last chunk, if it may be the beginning of a slot

    def fill(self, chunk: bytes) -> bytes:
        """What can be sent by now."""
        text = (self.rest + chunk).replace(self._slot, self._filling)
        cut = text.rfind(self._slot[:1])  # which is nowhere else in a slot
        if cut < 0 or not self._slot.startswith(text[cut:]):
            cut = len(text)
        self.rest = text[cut:]
        return text[:cut]


def _filled(chunks: Iterator[bytes], filler: _Filler) -> Iterator[bytes]:
    for chunk in chunks:
        if text := filler.fill(chunk):
            yield text
    if filler.rest:
        yield filler.rest


async def _afilled(chunks: AsyncIterator[bytes], filler: _Filler) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if text := filler.fill(chunk):
            yield text
    if filler.rest:
        yield filler.rest


def _begin(request: HttpRequest) -> Page:
    position: str = getattr(request, "_htmx_live_position", "") or parts().bus.position()
    text = request.headers.get("X-Live-Page", "")
    if text:
        try:
            grant = unsign_page(text, max_age=settings().GRANT_MAX_AGE)
        except GrantError:
            grant = None
        if grant is not None and opens_page(grant, request):
            return Page(request=request, id=grant.page, position=position, is_joined=True)
    before = _referred(request)
    mine = _mine(request, before) if before else []
    # Without JavaScript a page is loaded again and again under one reference: it stays the page that it was.
    return Page(request=request, id=before if mine else random_id(), position=position, adoptable=mine)


def _referred(request: HttpRequest) -> str:
    """The id of the page that the address refers to, or ""."""
    text = request.GET.get(REFERENCE, "") if request.method == "GET" else ""
    try:
        return str(signing.loads(text, salt=_REFERENCE_SALT, max_age=settings().STATE_TTL)) if text else ""
    except signing.BadSignature:
        return ""


def _mine(request: HttpRequest, page: str) -> list[str]:
    """The instances that a page shows, if all of them are this request's owner's: an address may be passed on."""
    store, owners = parts().store, owners_of(request)
    found = [loaded.record for instance in store.members(page) if (loaded := store.load(instance))]
    own = [record for record in found if not record.shared]
    return [record.instance for record in found] if own and all(one.owner in owners for one in own) else []


def _attributes(page: Page) -> str:
    return format_html(
        ' data-page="{}" data-number="{}" data-csrf="{}"', page.grant(), page.position, get_token(page.request)
    )
