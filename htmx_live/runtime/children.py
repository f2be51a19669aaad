"""Children: live views inside a live view's template, found again by key from render to render.

    known, same kwargs ──▶ left as it is: the parent's fragment carries its empty root, which the page does not touch
    known, other kwargs ─▶ mounted anew, the old one ends
    known, record gone ──▶ mounted anew
    not known ───────────▶ mounted, its whole root stands in the parent's fragment
    not rendered ────────▶ ends once the parent's turn is saved, its jobs cancelled

A page that meets an empty root and has no such child missed the parent's fragment that brought it, and asks for the
parent again; then, as on a page load, children are rendered in full.
"""

import json
from hashlib import blake2b
from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.html import format_html
from django.utils.safestring import SafeString

from htmx_live.exceptions import InstanceGone, TurnError
from htmx_live.grants import random_id
from htmx_live.live import Live, view_path
from htmx_live.records import SHARED, Record
from htmx_live.runtime import render as rendering
from htmx_live.runtime.first import first_turn
from htmx_live.runtime.parts import parts
from htmx_live.runtime.present import present
from htmx_live.runtime.shared import show_shared
from htmx_live.runtime.turn import Turn
from htmx_live.state import encode

__all__ = ["child"]


def child(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], key: str, tag: str, css: str) -> SafeString:
    """The root of the child of ``turn``'s view that ``cls`` and ``key`` name; without a key, by its position.

    A user without permission sees nothing in its place.
    """
    if cls.scope == "shared":
        return _shared(turn, cls, kwargs=kwargs, tag=tag, css=css)
    if turn.record.shared:
        raise TurnError(
            f"{cls.__name__} stands in {turn.record.view}, which is shared, and belongs to one user. Set its scope to "
            "'shared' too, or put it beside the shared view."
        )
    path = view_path(cls)
    position = sum(name.startswith(f"{path}#") for name in turn.children)
    name = f"{path}={key}" if key else f"{path}#{position}"
    if name in turn.children:
        raise TurnError(
            f"Two children of {turn.record.view} are {cls.__name__} with key={key!r}. Give each its own key."
        )
    given = {word: encode(value, f"the argument {word} of {cls.__name__}") for word, value in kwargs.items()}
    digest = blake2b(json.dumps([given, tag, css], sort_keys=True).encode(), digest_size=8).hexdigest()
    instance, known_digest = turn.record.children.get(name, ("", ""))
    known = parts().store.load(instance) if known_digest == digest else None
    if known is not None:
        turn.children[name] = (instance, digest)
        return _present(known.record) if turn.mode == "full" else _kept(instance, tag or cls.root_tag)
    if turn.mode == "full":
        return SafeString()  # nothing is mounted by looking; the parent's next turn brings it
    return _born(turn, name, digest, _record(turn, cls, name=name, kwargs=given, tag=tag, css=css))


def _present(record: Record) -> SafeString:
    try:
        return present(record).html
    except InstanceGone:  # other code has saved it
        return SafeString()


def _kept(instance: str, tag: str) -> SafeString:
    return format_html('<{} id="live-{}" data-live="" data-live-rev="0" data-live-pending=""></{}>', tag, instance, tag)


def _shared(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str) -> SafeString:
    """A shared view in a template of one user's: shown there, and not its parent's to end."""
    pages = turn.record.pages
    record, fragment = show_shared(cls, kwargs=kwargs, tag=tag, css=css, pages=pages, request=turn.request)
    name = f"{record.view}@{record.instance}"
    turn.children[name] = (record.instance, SHARED)
    is_there = turn.mode == "kept" and name in turn.record.children
    return _kept(record.instance, record.tag) if is_there else fragment.html


def _born(turn: Turn, name: str, digest: str, record: Record) -> SafeString:
    try:
        first = first_turn(record, request=turn.request, page=turn.page, owner=turn.owner)
    except PermissionDenied:
        return SafeString()
    if first.turned.redirect:
        raise TurnError(
            f"{record.view}.mount() asked for a redirect, which only the view of a whole page may do there."
        )
    turn.born.append(first)
    turn.children[name] = (record.instance, digest)
    fragment = first.turned.fragment
    return fragment.html if fragment else rendering.root(first.turned.record, SafeString())


def _record(turn: Turn, cls: type[Live], *, name: str, kwargs: dict[str, Any], tag: str, css: str) -> Record:
    parent = turn.record
    return Record(
        instance=random_id(),
        view=view_path(cls),
        owner=turn.owner(False),
        kwargs=kwargs,
        key=name,
        parent=parent.instance,
        pages=parent.pages,
        tag=tag or cls.root_tag,
        css_class=css,
        language=parent.language,
        time_zone=parent.time_zone,
        script_prefix=parent.script_prefix,
        secure=parent.secure,
        host=parent.host,
        path=parent.path,
        query=parent.query,
    )
