"""Shared views: one record for all who look at it, rendered once and sent once for all of them.

The first viewer mounts it.  Two who come at once may both mount, and the first to be stored stays; nothing waits here,
for a shared view may stand in another view's template, whose turn holds a lease.
"""

import json
import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest

from htmx_live.conf import site_facts
from htmx_live.exceptions import TurnError
from htmx_live.fragments import Fragment
from htmx_live.live import Live, view_path
from htmx_live.records import Owner, Record
from htmx_live.runtime.dispatch import deliver, start_jobs
from htmx_live.runtime.first import First, first_turn, keep, watch
from htmx_live.runtime.parts import parts
from htmx_live.runtime.present import present
from htmx_live.runtime.surroundings import after_commit, around
from htmx_live.runtime.turn import Turn
from htmx_live.state import encode
from htmx_live.transport.channels import view_channel

__all__ = ["show_shared"]


def show_shared(
    cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str, pages: Iterable[str], request: HttpRequest | None
) -> tuple[Record, Fragment]:
    """The shared instance of ``cls`` that ``kwargs`` name, as it is now; ``pages`` will be told of its changes.

    ``request`` is that of the visitor, whose permission is asked; ``PermissionDenied`` without it.
    """
    record = _record(cls, kwargs, tag=tag, css=css)
    if request is not None:
        Turn(record, request=request).allow()
    here = parts()
    loaded = here.store.load(record.instance)
    record = loaded.record if loaded else _mount(record)
    for page in pages:
        here.store.link(page, record.instance)
        here.bus.join(page, [view_channel(record.instance)])
    watch(record)
    return record, present(record)


def _record(cls: type[Live], kwargs: dict[str, Any], *, tag: str, css: str) -> Record:
    encoded = {name: encode(value, f"the argument {name} of {cls.__name__}") for name, value in kwargs.items()}
    key = json.dumps(encode(cls.share_key(**kwargs), f"{cls.__name__}.share_key()"), sort_keys=True)
    tag = tag or cls.root_tag
    name = json.dumps([view_path(cls), key, tag, css])
    return Record(
        instance=blake2b(name.encode(), digest_size=16).hexdigest(),
        view=view_path(cls),
        owner=Owner(),
        shared=True,
        rev=int(time.time() * 1000),  # above what any page may still show of a record that was lost
        kwargs=encoded,
        tag=tag,
        css_class=css,
        **site_facts(),
    )


def _mount(record: Record) -> Record:
    with around(record):
        first = first_turn(record, request=None, page="", owner=lambda create: Owner())
    if first.turned.redirect:
        raise TurnError(f"{record.view} is a shared view: its mount() cannot ask for a redirect.")
    if not keep(first, once=True):
        loaded = parts().store.load(record.instance)  # somebody else was faster
        return loaded.record if loaded else first.turned.record
    after_commit(lambda: _perform(first))
    return first.turned.record


def _perform(first: First) -> None:
    start_jobs(first.turn)
    for push in first.turn.pushes:
        deliver(push)
