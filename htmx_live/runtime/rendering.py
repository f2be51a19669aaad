"""Rendering: a view's template as HTML, and the root element around it.

Every render of an instance is made the same way, the first included, so that nothing changes at the first push.

The grant in an instance's root: made anew only when half of its life is over, so that renders stay equal.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from hashlib import blake2b

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.middleware.csrf import _does_token_match  # type: ignore[attr-defined]
from django.template.loader import get_template, render_to_string
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils.crypto import salted_hmac
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import TurnError
from htmx_live.core.fragments import Fragment, fill_text_placeholders, placeholder
from htmx_live.core.records import JobRow, Record
from htmx_live.core.signing import ViewGrant, sign_view
from htmx_live.events.attributes import pending_token
from htmx_live.events.context import RenderContext, current_view
from htmx_live.events.template_checks import check_markup
from htmx_live.runtime.request_context import csrf_secret
from htmx_live.runtime.services import services
from htmx_live.runtime.state import get_state
from htmx_live.runtime.view import Live, view_path

__all__ = [
    "build_root_fragment",
    "csrf_placeholder",
    "fill_placeholders",
    "refresh_grant",
    "render",
    "render_digest",
    "render_failure",
    "render_root",
    "state_digest",
    "strip_component_ids",
]


# What django-components adds at random to each render.
_COMPONENT_IDS = re.compile(r'\s+data-djc-id-\w+(?:="")?|<!-- _RENDERED [^>]*-->')
# Every masked CSRF token looks like this, and so do some hashes.
_CSRF_TOKEN = re.compile(r"(?<![a-zA-Z0-9])[a-zA-Z0-9]{64}(?![a-zA-Z0-9])")


def csrf_placeholder() -> str:
    """In the place of a CSRF token: each page has its own, and a render is the same for all of them."""
    return placeholder("csrf")


def render(view: Live, record: Record, request: HttpRequest) -> SafeString:
    """The template's output, with ``request`` (a stand-in) for context processors."""
    if not view.template_name:
        raise ImproperlyConfigured(f"{view_path(type(view))} has no template_name. Set it to the path of its template.")
    context = RenderContext(
        instance=record.instance,
        view_path=record.view,
        handlers=type(view).handlers,
        event_url=partial(_event_url, get_script_prefix(), get_urlconf()),
        hidden_fields={"_live": record.grant},
        view=view,
    )
    token = current_view.set(context)
    try:
        html = get_template(view.template_name).render(_build_context(view), request)
    finally:
        current_view.reset(token)
    if services().is_strict:
        check_markup(html)
    return strip_component_ids(_insert_csrf_placeholders(html))


def strip_component_ids(html: str) -> SafeString:
    """Rendered HTML without what differs between two renders of the same."""
    return mark_safe(_COMPONENT_IDS.sub("", html) if "djc" in html or "_RENDERED" in html else html)


def _insert_csrf_placeholders(html: str) -> str:
    """Replace each token of the stand-in request by the slot, whichever context processor or tag has written it."""
    secret, placeholder = csrf_secret(), csrf_placeholder()
    return _CSRF_TOKEN.sub(lambda found: placeholder if _does_token_match(found[0], secret) else found[0], html)


def pending_tokens(rows: Iterable[JobRow]) -> str:
    """The value of ``data-live-pending``."""
    return " ".join(sorted({pending_token(row.handler, row.name, row.key) for row in rows}))


def waiting_tokens(rows: Iterable[JobRow]) -> str:
    """Those of ``pending`` that nobody has begun, or that are being done again."""
    return pending_tokens(row for row in rows if row.stage in ("waiting", "retrying"))


def render_root(record: Record, inner: SafeString) -> SafeString:
    """The root element of an instance around the output of its template."""
    return format_html(
        '<{tag} id="live-{instance}"{css} data-live="{grant}" data-live-rev="{rev}" data-live-state="{state}" '
        'data-live-pending="{pending}"{waiting}>{inner}</{tag}>',
        tag=record.tag,
        instance=record.instance,
        css=format_html(' class="{}"', record.css_class) if record.css_class else "",
        grant=record.grant,
        rev=record.rev,
        state=state_digest(record),
        pending=pending_tokens(record.jobs),
        waiting=format_html(' data-live-waiting="{}"', tokens) if (tokens := waiting_tokens(record.jobs)) else "",
        inner=inner,
    )


def state_digest(record: Record) -> str:
    """Return a keyed hash of what would be lost with the record: its state and its running jobs."""
    state = sorted(record.state.items())
    return salted_hmac(
        "htmx_live.runtime.state", repr((state, pending_tokens(record.jobs))), algorithm="sha256"
    ).hexdigest()[:8]


def build_root_fragment(record: Record, inner: SafeString) -> Fragment:
    """The whole root, as it is sent."""
    return Fragment(target=f"live-{record.instance}", html=render_root(record, inner))


def render_failure(error: object) -> SafeString:
    """What stands in the place of a view whose template failed in the background."""
    return mark_safe(render_to_string("htmx_live/failure.html", {"error": error}))


def render_digest(record: Record, inner: str) -> str:
    """A hash of all that a browser sees of a render, but for its rev."""
    visible = (record.grant, pending_tokens(record.jobs), waiting_tokens(record.jobs), inner)
    return blake2b("\0".join(visible).encode(), digest_size=16).hexdigest()


def _build_context(view: Live) -> dict[str, object]:
    public_state = {name: value for name, value in get_state(view).items() if not name.startswith("_")}
    context = {**type(view)._class_defaults, **public_state, **view.get_context_data(), "view": view}
    if view._live.record.shared:
        context["request"] = _NoRequest(type(view).__name__)
    return context


class _NoRequest:
    """Stands for the request in the template of a shared view, where there is none."""

    def __init__(self, view: str) -> None:
        self.__dict__["_view"] = view

    def __getattr__(self, name: str) -> object:
        raise TurnError(
            f"{self._view} is a shared view: its template has no request, for what it shows is everybody's."
        )

    def __str__(self) -> str:
        return str(self.request)


@lru_cache(maxsize=4096)
def _event_url(prefix: str, urlconf: str | None, handler: str) -> str:
    # The script prefix is part of the key because reverse() reads it.
    return reverse("htmx_live:event", args=[handler], urlconf=urlconf)


def refresh_grant(record: Record) -> Record:
    """``record`` with a grant that stays valid for at least half of ``GRANT_MAX_AGE``."""
    now = int(time.time())
    if record.grant and now - record.granted_at < settings().GRANT_MAX_AGE / 2:
        return record
    grant = ViewGrant(
        instance=record.instance,
        view=record.view,
        kwargs=record.kwargs,
        owner=record.owner,
        epoch=services().store.epoch,
        key=record.key,
        tag=record.tag,
        css_class=record.css_class,
        earlier_epochs=record.earlier_epochs,
    )
    return replace(record, grant=sign_view(grant), granted_at=now)


def fill_placeholders(html: str, csrf: str = "") -> str:
    """``html`` with what is filled in only when it is sent: text streams and the page's CSRF token."""
    filled = fill_text_placeholders(html, _load_text)
    return filled.replace(csrf_placeholder(), csrf)


def _load_text(target: str) -> tuple[str, str]:
    text = services().bus.text(target)
    return ("0", "") if text is None else (text.generation, text.text)
