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
from htmx_live.core.fragments import Fragment, fill, mark
from htmx_live.core.records import JobRow, Record
from htmx_live.core.signing import ViewGrant, sign_view
from htmx_live.events.attributes import pending_word
from htmx_live.events.context import Rendering, current_rendering
from htmx_live.events.template_checks import check_markup
from htmx_live.runtime.request_context import csrf_secret
from htmx_live.runtime.services import parts
from htmx_live.runtime.state import state_of
from htmx_live.runtime.view import Live, view_path

__all__ = [
    "complete",
    "csrf_slot",
    "digest",
    "failure",
    "fragment",
    "granted",
    "render",
    "root",
    "state_digest",
    "without_noise",
]


# What django-components adds at random to each render.
_COMPONENT_NOISE = re.compile(r'\s+data-djc-id-\w+(?:="")?|<!-- _RENDERED [^>]*-->')
# Every masked CSRF token looks like this, and so do some hashes.
_CSRF_TOKEN = re.compile(r"(?<![a-zA-Z0-9])[a-zA-Z0-9]{64}(?![a-zA-Z0-9])")


def csrf_slot() -> str:
    """In the place of a CSRF token: each page has its own, and a render is the same for all of them."""
    return mark("csrf")


def render(view: Live, record: Record, request: HttpRequest) -> SafeString:
    """The template's output, with ``request`` (a stand-in) for context processors."""
    if not view.template_name:
        raise ImproperlyConfigured(f"{view_path(type(view))} has no template_name. Set it to the path of its template.")
    rendering = Rendering(
        instance=record.instance,
        view=record.view,
        handlers=type(view).handlers,
        event_url=partial(_event_url, get_script_prefix(), get_urlconf()),
        hidden_fields={"_live": record.grant},
        live=view,
    )
    token = current_rendering.set(rendering)
    try:
        html = get_template(view.template_name).render(_context(view), request)
    finally:
        current_rendering.reset(token)
    if parts().is_strict:
        check_markup(html)
    return without_noise(_with_csrf_slots(html))


def without_noise(html: str) -> SafeString:
    """Rendered HTML without what differs between two renders of the same."""
    return mark_safe(_COMPONENT_NOISE.sub("", html) if "djc" in html or "_RENDERED" in html else html)


def _with_csrf_slots(html: str) -> str:
    """Replace each token of the stand-in request by the slot, whichever context processor or tag has written it."""
    secret, slot = csrf_secret(), csrf_slot()
    return _CSRF_TOKEN.sub(lambda found: slot if _does_token_match(found[0], secret) else found[0], html)


def pending(rows: Iterable[JobRow]) -> str:
    """The value of ``data-live-pending``."""
    return " ".join(sorted({pending_word(row.handler, row.name, row.key) for row in rows}))


def waiting(rows: Iterable[JobRow]) -> str:
    """Those of ``pending`` that nobody has begun, or that are being done again."""
    return pending(row for row in rows if row.stage in ("waiting", "retrying"))


def root(record: Record, inner: SafeString) -> SafeString:
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
        pending=pending(record.jobs),
        waiting=format_html(' data-live-waiting="{}"', words) if (words := waiting(record.jobs)) else "",
        inner=inner,
    )


def state_digest(record: Record) -> str:
    """Return a keyed hash of what would be lost with the record: its state and its running jobs."""
    state = sorted(record.state.items())
    return salted_hmac("htmx_live.runtime.state", repr((state, pending(record.jobs))), algorithm="sha256").hexdigest()[
        :8
    ]


def fragment(record: Record, inner: SafeString) -> Fragment:
    """The whole root, as it is sent."""
    return Fragment(target=f"live-{record.instance}", html=root(record, inner))


def failure(error: object) -> SafeString:
    """What stands in the place of a view whose template failed in the background."""
    return mark_safe(render_to_string("htmx_live/failure.html", {"error": error}))


def digest(record: Record, inner: str) -> str:
    """A hash of all that a browser sees of a render, but for its rev."""
    seen = (record.grant, pending(record.jobs), waiting(record.jobs), inner)
    return blake2b("\0".join(seen).encode(), digest_size=16).hexdigest()


def _context(view: Live) -> dict[str, object]:
    shown = {name: value for name, value in state_of(view).items() if not name.startswith("_")}
    context = {**type(view)._defaults, **shown, **view.get_context_data(), "view": view}
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


def granted(record: Record) -> Record:
    """``record`` with a grant that stays valid for at least half of ``GRANT_MAX_AGE``."""
    now = int(time.time())
    if record.grant and now - record.granted_at < settings().GRANT_MAX_AGE / 2:
        return record
    grant = ViewGrant(
        instance=record.instance,
        view=record.view,
        kwargs=record.kwargs,
        owner=record.owner,
        epoch=parts().store.epoch,
        key=record.key,
        tag=record.tag,
        css=record.css_class,
        earlier=record.earlier_epochs,
    )
    return replace(record, grant=sign_view(grant), granted_at=now)


def complete(html: str, csrf: str = "") -> str:
    """``html`` with what is filled in only when it is sent: text streams and the page's CSRF token."""
    filled = fill(html, _text_of)
    return filled.replace(csrf_slot(), csrf)


def _text_of(target: str) -> tuple[str, str]:
    text = parts().bus.text(target)
    return ("0", "") if text is None else (text.generation, text.text)
