"""Listening: what a page hears beside its own channel, decided while it is rendered.

The server grants a channel by rendering what stands for it.  It also signs a *word*, which the page hands back when it
asks what it has missed, so that a page keeps its channels when the store has lost them.  A word says nothing new: it
holds for the one to whom that was rendered.
"""

from django.http import HttpRequest

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import GrantError, TurnError
from htmx_live.core.records import Owner
from htmx_live.core.signing import sign_channel, unsign_channel
from htmx_live.events.context import current_view
from htmx_live.runtime.owners import get_owner, get_owners
from htmx_live.runtime.pages import Page, get_page
from htmx_live.runtime.services import services

__all__ = ["resubscribe_page", "subscribe_page"]


def subscribe_page(request: HttpRequest | None, channel: str = "") -> str:
    """The page that is being rendered is live, and hears ``channel`` from where it stands; returns the word for that.

    ``TurnError`` without a request, and in a shared view, which does not know its pages.
    """
    context = current_view.get()
    if context is not None:
        record = context.view._live.record
        if record.shared:
            raise TurnError(
                f"{record.view} is a shared view, which does not know the pages that show it. Put the region beside "
                "it, into the page's template; or push_to_view() the shared view itself."
            )
        for page in record.pages:
            _add_subscription(page, channel, since="")
        return sign_channel(channel, record.owner) if channel else ""
    if request is None:
        raise TurnError(
            "{% region %} needs the request in the template's context. Render with a request, or add "
            "'django.template.context_processors.request' to the context processors."
        )
    page = get_page(request)
    page.is_live = True
    if channel and channel not in page.subscription_tokens:
        _add_subscription(page.id, channel, since=page.position)
        page.subscription_tokens[channel] = sign_channel(channel, get_owner(page.request))
    return page.subscription_tokens.get(channel, "")


def resubscribe_page(page: Page, token: str, *, since: str) -> None:
    """Give back a channel that the store has lost; ``since`` is where the page stands.  What is no word is ignored."""
    try:
        channel, owner = unsign_channel(token, max_age=settings().GRANT_MAX_AGE)
    except GrantError:
        return
    if owner in (*get_owners(page.request), Owner()):
        _add_subscription(page.id, channel, since=since)


def _add_subscription(page: str, channel: str, *, since: str) -> None:
    """Join once only: who joined reads the channel from that moment on, and what came before is sent by joining."""
    process_services = services()
    if channel:
        is_new = channel not in process_services.store.subscribed_channels(page)
        process_services.store.add_subscription(page, channel)
        if is_new:
            process_services.bus.add_channels(page, [channel], since=since)
