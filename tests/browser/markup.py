"""Markup as the server emits it: pages, roots, triggers, partials (docs/wire.md)."""

import json
from html import escape
from typing import Any

from django.template.loader import render_to_string

from htmx_live.core.text import ERROR_TEXTS

__all__ = ["document", "on", "partial", "root", "swap"]


def document(body: str, *, htmx: str | None = "/htmx.js", **meta: object) -> str:
    """A page whose head is what ``{% htmx_live %}`` emits; ``meta`` changes its data attributes (None removes one)."""
    values: dict[str, object] = {
        "page": "page-grant", "number": "e.1", "csrf": "csrf-token", "url": "/live/",
        "upload": "/upload.js", "plain": "/plain.js", "progress": "/progress.js",
        "heartbeat": 15, "poll": 3, "hidden-close": 60, "groups": "card",
    } | {name.replace("_", "-"): value for name, value in meta.items()}  # fmt: skip
    words = render_to_string("htmx_live/messages.html", {"signin": values.pop("signin", ""), "words": ERROR_TEXTS})
    attributes = "".join(f' data-{name}="{value}"' for name, value in values.items() if value is not None)
    script = f'<script defer src="{htmx}"></script>' if htmx else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test</title>{script}'
        f'<script defer src="/htmx-live.js"></script><link rel="stylesheet" href="/htmx-live.css">'
        f'<meta name="htmx-live"{attributes}>{words}</head><body>{body}</body></html>'
    )


def root(inner: str, *, rev: int = 1, id: str = "live-a", pending: str = "", grant: str = "", tag: str = "div") -> str:
    waiting = f' data-live-pending="{pending}"' if pending else ""
    return f'<{tag} id="{id}" data-live="{grant or "grant-" + id}" data-live-rev="{rev}"{waiting}>{inner}</{tag}>'


def on(handler: str, args: Any = None, *, event: str = "click", key: str = "") -> str:
    """The attributes of ``{% on %}``."""
    attributes = f'hx-post="/live/event/{handler}/" hx-trigger="{event}" hx-swap="none" data-live-event="{handler}"'
    if args is not None:
        attributes += f' data-live-args="{escape(json.dumps(args))}"'
    return attributes + (f' data-live-key="{key}"' if key else "")


def partial(html: str, target: str = "live-a", *, how: str = "outerMorph") -> str:
    return f'<hx-partial hx-target="#{target}" hx-swap="{how}">{html}</hx-partial>'


def swap(inner: str, **options: Any) -> str:
    """A partial that renders a whole root."""
    return partial(root(inner, **options), options.get("id", "live-a"))
