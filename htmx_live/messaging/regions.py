"""Regions: elements of any page that our own code writes to, without a live view.

``{% region "orders:42" topic="orders" %}`` puts one into a page; ``send_fragment`` writes to it, from a view, a signal,
a command, a task or a test.  A fragment is rendered once and sent to all who listen.  Of those that say what a region
*is* (update, replace, remove) only the newest is kept for pages that are away; those that *add* to it are all kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Literal, cast, get_args

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from htmx_live.backends.wire import page_channel, topic_channel, user_channel
from htmx_live.core.conf import site_locale
from htmx_live.core.fragments import Fragment, Swap, join_fragments
from htmx_live.core.signing import random_id
from htmx_live.events.context import current_view
from htmx_live.runtime.inbox_messages import SendFragments
from htmx_live.runtime.pages import get_page
from htmx_live.runtime.rendering import csrf_placeholder, strip_component_ids
from htmx_live.runtime.request_context import run_after_commit
from htmx_live.runtime.services import services
from htmx_live.runtime.turn import current_turn

__all__ = [
    "Topic",
    "asend_fragment",
    "channels_to",
    "is_sending",
    "publish_fragments",
    "region",
    "region_id",
    "send_fragment",
]


SwapName = Literal["update", "replace", "append", "prepend", "before", "after", "remove"]

# Turbo's words for htmx's swaps.
_SWAPS: dict[str, Swap] = {
    "update": "innerMorph",
    "replace": "outerMorph",
    "append": "beforeend",
    "prepend": "afterbegin",
    "before": "beforebegin",
    "after": "afterend",
    "remove": "delete",
}
_ADDING_SWAPS = {"beforebegin", "afterbegin", "beforeend", "afterend"}

_ELEMENT_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MAX_ID_LENGTH = 120
_INNER_PARTIAL = re.compile(r"<(?=/?hx-partial)", re.IGNORECASE)

_sending: ContextVar[bool] = ContextVar("sending", default=False)


@dataclass(frozen=True, slots=True)
class Topic:
    """All pages that show a region of this topic."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"Topic({self.name!r}): a topic's name is a text that is not empty.")


def region_id(name: str) -> str:
    """The id of a region's element: letters, digits, - and _ only, and never the same for two names."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} cannot be a region's name: it is a text that is not empty, such as 'orders:42'.")
    quoted = re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", name)
    if len(quoted) > _MAX_ID_LENGTH:
        quoted = "_" + blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"live-region-{quoted}"


def region(
    name: str,
    *,
    template: str | None = None,
    context: Mapping[str, Any] | None = None,
    html: str | None = None,
    swap: Swap | SwapName = "innerMorph",
) -> Fragment:
    """What ``send_fragment`` sends to one region, as a value: several go into one message."""
    htmx_swap = _SWAPS.get(swap, cast(Swap, swap))
    if htmx_swap not in get_args(Swap):
        raise ValueError(f"swap={swap!r}: expected one of {', '.join(_SWAPS)}, or htmx's {', '.join(get_args(Swap))}.")
    given = [word for word, value in (("template", template), ("html", html)) if value is not None]
    if len(given) != (htmx_swap != "delete"):
        expected = "neither template= nor html=" if htmx_swap == "delete" else "one of template= and html="
        raise ValueError(f"A fragment for {name!r} with swap={swap!r} takes {expected}; {len(given)} of them given.")
    if context is not None and template is None:
        raise ValueError(f"A fragment for {name!r} has context= without template=, the template that it is for.")
    body = _render(template, context or {}) if template is not None else conditional_escape(html or "")
    return Fragment(target=region_id(name), html=body, swap=htmx_swap)


def send_fragment(
    name: str | Iterable[Fragment],
    *,
    template: str | None = None,
    context: Mapping[str, Any] | None = None,
    html: str | None = None,
    to: Any,
    swap: Swap | SwapName = "innerMorph",
) -> None:
    """Write to the region ``name`` on the pages of ``to``: a user, a request (its page) or a ``Topic``.

    ``template`` is rendered at once, without a request and in the site's language; ``html`` is escaped unless it is
    safe.  ``swap`` is a word (update, replace, append, prepend, before, after, remove) or htmx's.  Instead of a name
    several fragments may be given, made by ``region()`` or for any id: they arrive together.  In a
    transaction it waits for the commit, in a turn until that is saved.  ``ValueError`` and ``TypeError`` say what does
    not fit.
    """
    if isinstance(name, str):
        fragments = [region(name, template=template, context=context, html=html, swap=swap)]
    elif template is not None or context is not None or html is not None or swap != "innerMorph":
        raise ValueError("send_fragment() with a list of fragments takes to= only: each says its own html and swap.")
    else:
        fragments = [_validate_fragment(fragment) for fragment in name]
    if not fragments:
        return
    message = _build_message(fragments, to)
    turn = current_turn()
    if turn is not None:
        turn.emit(message)
    else:
        run_after_commit(partial(_publish_message, message))


async def asend_fragment(
    name: str | Iterable[Fragment],
    *,
    template: str | None = None,
    context: Mapping[str, Any] | None = None,
    html: str | None = None,
    to: Any,
    swap: Swap | SwapName = "innerMorph",
) -> None:
    """See ``send_fragment()``."""
    # In the thread of the caller's database connections, for a transaction there to be noticed.
    send = sync_to_async(send_fragment, thread_sensitive=True)
    await send(name, template=template, context=context, html=html, to=to, swap=swap)


def channels_to(to: Any) -> list[str]:
    """The channels that reach a user, the page of a request, or a ``Topic``."""
    if isinstance(to, Topic):
        return [topic_channel(to.name)]
    if isinstance(to, HttpRequest):
        # A live view's stand-in request knows the pages that show the view.
        pages: Iterable[str] | None = getattr(to, "live_pages", None)
        return [page_channel(page) for page in ([get_page(to).id] if pages is None else pages)]
    if getattr(to, "is_authenticated", None) is not True or to.pk is None:
        hint = f"Did you mean Topic({to!r})?" if isinstance(to, str) else "Who is not logged in has no pages of theirs."
        raise TypeError(f"to={to!r}: expected a user who can log in, a request or Topic('…'). {hint}")
    return [user_channel(to.pk)]


def publish_fragments(fragments: list[Fragment], *, to: Any) -> None:
    """Send at once, whatever transaction or turn this is called in: what the fragments show is settled."""
    _publish_message(_build_message(fragments, to))


def is_sending() -> bool:
    """Whether a template is being rendered for ``send_fragment``: a region in it is an element and no more."""
    return _sending.get()


def _render(template: str, context: Mapping[str, Any]) -> SafeString:
    with _site_context():
        # The script fills in the token of the page that a form ends up in.
        return strip_component_ids(get_template(template).render({"csrf_token": csrf_placeholder(), **context}))


@contextmanager
def _site_context() -> Iterator[None]:
    """The site's language and time zone, and no live view around."""
    site = site_locale()
    outer, sending = current_view.set(None), _sending.set(True)
    try:
        with translation.override(site["language"]), timezone.override(site["time_zone"]):
            yield
    finally:
        _sending.reset(sending)
        current_view.reset(outer)


def _validate_fragment(fragment: Fragment) -> Fragment:
    if not isinstance(fragment, Fragment):
        raise TypeError(f"send_fragment([{fragment!r}]): expected fragments. Make one with htmx_live.region().")
    if not _ELEMENT_ID.fullmatch(fragment.target):
        raise ValueError(f"Fragment(target={fragment.target!r}): expected an element's id of letters, digits, - and _.")
    return fragment


def _message_target(fragments: list[Fragment]) -> str:
    """What a newer message takes the place of: one that says all that this one says; never one that adds."""
    target = " ".join(f"{fragment.target}:{fragment.swap}" for fragment in fragments)
    return f"{target} {random_id()}" if _ADDING_SWAPS.intersection(fragment.swap for fragment in fragments) else target


def _message_data(fragments: list[Fragment]) -> str:
    """The message: nothing in a fragment's HTML ends its partial early."""
    closed = [
        Fragment(target=one.target, html=_escape_partials(conditional_escape(one.html)), swap=one.swap)
        for one in fragments
    ]
    return str(join_fragments(closed)).replace(csrf_placeholder(), "")


def _escape_partials(html: str) -> SafeString:
    return mark_safe(_INNER_PARTIAL.sub("&lt;", html))


def _build_message(fragments: list[Fragment], to: Any) -> SendFragments:
    return SendFragments(channels=channels_to(to), target=_message_target(fragments), data=_message_data(fragments))


def _publish_message(message: SendFragments) -> None:
    services().bus.publish(message.channels, message.target, message.data)
