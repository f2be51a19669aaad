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
from htmx_live.core.fragments import placeholder
from htmx_live.core.signing import PageGrant, random_id, sign_page, unsign_page
from htmx_live.runtime.mounting import Visit
from htmx_live.runtime.owners import get_owner, get_owners, send_cookies
from htmx_live.runtime.ownership import can_join
from htmx_live.runtime.processes import announce_process
from htmx_live.runtime.services import services
from htmx_live.runtime.url_state import RETURN_PARAM

__all__ = ["Page", "finalize_response", "get_page", "page_placeholder", "sign_return_token"]


_RETURN_TOKEN_SALT = "htmx_live.reference"


@dataclass(slots=True)
class Page:
    """``position`` is the bus's at the start of the request; ``is_joined``: the page was there before this request."""

    request: HttpRequest
    id: str
    position: str
    is_joined: bool = False
    is_live: bool = False  # something live was rendered
    previous_instances: list[str] = field(default_factory=list)  # instances that a form without JavaScript came from
    subscription_tokens: dict[str, str] = field(default_factory=dict)  # by channel that it listens on; see listening.py

    def visit(self) -> Visit:
        """The page as mounting sees it; from now on it is live."""
        self.is_live = True
        return Visit(
            request=self.request, page=self.id, get_owners=lambda create: get_owners(self.request, create=create)
        )

    def sign_grant(self) -> str:
        return sign_page(PageGrant(page=self.id, owner=get_owner(self.request)))


def page_placeholder() -> str:
    """What ``{% htmx_live %}`` writes where the page's grant will stand."""
    return placeholder("page")


def get_page(request: HttpRequest) -> Page:
    """The page that ``request`` renders or comes from; one for all panels of a layout, which have copies of it."""
    request = getattr(request, "layout_page_request", request)
    page: Page | None = getattr(request, "_htmx_live_page", None)
    # Panels run side by side: setdefault keeps the first.
    return page or request.__dict__.setdefault("_htmx_live_page", _build_page(request))


def sign_return_token(page: str) -> str:
    """A short signed name of a page, under which the next GET adopts what that page showed."""
    return f"{RETURN_PARAM}={signing.dumps(page, salt=_RETURN_TOKEN_SALT)}"


def finalize_response(request: HttpRequest, response: HttpResponseBase) -> None:
    """Put the page's grant into a response that holds something live, and keep shared caches away from it."""
    send_cookies(request, response)
    page: Page | None = getattr(request, "_htmx_live_page", None)
    is_live = page is not None and page.is_live
    if is_live:
        announce_process()
        patch_cache_control(response, private=True)
    if not response.get("Content-Type", "").startswith("text/html"):
        return
    has_placeholder = _fill_placeholder(response, _render_page_attributes(page) if page is not None and is_live else "")
    if page is not None and is_live and not has_placeholder and not page.is_joined:
        # An htmx response brings the first live view into a page that had none.
        response["X-Live-Page"] = page.sign_grant()
        response["X-Live-Number"] = page.position
        response["X-Live-CSRF"] = get_token(request)


def _fill_placeholder(response: Any, attributes: str) -> bool:
    """Whether ``response`` has a slot for a page's grant, or may have one later."""
    placeholder, replacement = page_placeholder().encode(), attributes.encode()
    if response.streaming:
        chunks, filler = response.streaming_content, _PlaceholderFiller(placeholder, replacement)
        response.streaming_content = (
            _afill_chunks(chunks, filler) if response.is_async else _fill_chunks(chunks, filler)
        )
        return True
    if placeholder not in response.content:
        return False
    response.content = response.content.replace(placeholder, replacement)
    if response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))
    return True


class _PlaceholderFiller:
    """Replaces ``slot`` in text that comes in chunks, which may end in the middle of a slot."""

    def __init__(self, placeholder: bytes, replacement: bytes) -> None:
        self._placeholder, self._replacement = placeholder, replacement
        self.rest = b""  # of the last chunk, if it may be the beginning of a slot

    def fill(self, chunk: bytes) -> bytes:
        """What can be sent by now."""
        text = (self.rest + chunk).replace(self._placeholder, self._replacement)
        cut = text.rfind(self._placeholder[:1])  # which is nowhere else in a slot
        if cut < 0 or not self._placeholder.startswith(text[cut:]):
            cut = len(text)
        self.rest = text[cut:]
        return text[:cut]


def _fill_chunks(chunks: Iterator[bytes], filler: _PlaceholderFiller) -> Iterator[bytes]:
    for chunk in chunks:
        if text := filler.fill(chunk):
            yield text
    if filler.rest:
        yield filler.rest


async def _afill_chunks(chunks: AsyncIterator[bytes], filler: _PlaceholderFiller) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if text := filler.fill(chunk):
            yield text
    if filler.rest:
        yield filler.rest


def _build_page(request: HttpRequest) -> Page:
    position: str = getattr(request, "_htmx_live_position", "") or services().bus.position()
    text = request.headers.get("X-Live-Page", "")
    if text:
        try:
            grant = unsign_page(text, max_age=settings().GRANT_MAX_AGE)
        except GrantError:
            grant = None
        if grant is not None and can_join(grant, request):
            return Page(request=request, id=grant.page, position=position, is_joined=True)
    previous_page = _read_return_token(request)
    instances = _find_owned_instances(request, previous_page) if previous_page else []
    # Without JavaScript a page is loaded again and again under one reference: it stays the page that it was.
    return Page(
        request=request, id=previous_page if instances else random_id(), position=position, previous_instances=instances
    )


def _read_return_token(request: HttpRequest) -> str:
    """The id of the page that the address refers to, or ""."""
    text = request.GET.get(RETURN_PARAM, "") if request.method == "GET" else ""
    try:
        return str(signing.loads(text, salt=_RETURN_TOKEN_SALT, max_age=settings().STATE_TTL)) if text else ""
    except signing.BadSignature:
        return ""


def _find_owned_instances(request: HttpRequest, page: str) -> list[str]:
    """The instances that a page shows, if all of them are this request's owner's: an address may be passed on."""
    store, owners = services().store, get_owners(request)
    found = [loaded.record for instance in store.instances_on(page) if (loaded := store.load(instance))]
    own = [record for record in found if not record.shared]
    return [record.instance for record in found] if own and all(one.owner in owners for one in own) else []


def _render_page_attributes(page: Page) -> str:
    return format_html(
        ' data-page="{}" data-number="{}" data-csrf="{}"', page.sign_grant(), page.position, get_token(page.request)
    )
