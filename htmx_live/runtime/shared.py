"""Shared views: one record for all who look at it, rendered and sent once for each of its variants.

The first viewer mounts it.  Two who come at once may both mount, and the first to be stored stays; nothing waits here,
for a shared view may stand in another view's template, whose turn holds a lease.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest

from htmx_live.conf import site_facts
from htmx_live.events import Viewed
from htmx_live.exceptions import InstanceGone, TurnError
from htmx_live.fragments import Fragment
from htmx_live.letters import fold_of, write_mail
from htmx_live.live import Live, view_path
from htmx_live.records import Owner, Record
from htmx_live.runtime.dispatch import deliver, look_after, start_jobs
from htmx_live.runtime.first import First, first_turn, keep, watch
from htmx_live.runtime.parts import parts
from htmx_live.runtime.present import present
from htmx_live.runtime.surroundings import after_commit, around
from htmx_live.runtime.turn import Turn
from htmx_live.runtime.variants import in_variant, is_fresh, spoken_here, variant_channel, variant_on, viewed
from htmx_live.state import encode
from htmx_live.transport.channels import view_channel

__all__ = ["look_again", "say_viewed", "show_shared"]


def show_shared(
    cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str, pages: Iterable[str], request: HttpRequest | None
) -> tuple[Record, Fragment]:
    """The shared instance of ``cls`` that ``kwargs`` name, as it is now; ``pages`` will be told of its changes.

    ``request`` is that of the visitor, whose permission is asked; ``PermissionDenied`` without it.
    """
    record = _record(cls, kwargs, tag=tag, css=css)
    if request is not None:
        Turn(record, request=request).allow()
    store, variant = parts().store, spoken_here()
    loaded = store.load(record.instance)
    record = loaded.record if loaded else _mount(viewed(record, variant))
    for page in pages:
        _listen(page, record.instance, variant)
    loaded = store.load(record.instance)  # once more: nobody has heard of what came before they listened
    record = loaded.record if loaded else record
    _say(record, variant)
    watch(record)
    try:
        return record, present(in_variant(record, variant))
    except InstanceGone:  # other code has saved it
        record = _mount(viewed(_record(cls, kwargs, tag=tag, css=css), variant))
        return record, present(in_variant(record, variant))


def look_again(record: Record, page: str) -> None:
    """A page asks for what it missed of ``record``: it listens again if that was forgotten."""
    if record.shared and not variant_on(page, record.instance):
        _listen(page, record.instance, spoken_here())
    say_viewed(record, page)


def say_viewed(record: Record, page: str) -> None:
    """A page that shows ``record`` is there: a shared one is rendered in its variant from now on."""
    variant = variant_on(page, record.instance) if record.shared else ""
    if variant:
        _say(record, variant)


def _say(record: Record, variant: str) -> None:
    if is_fresh(record, variant):
        return
    letter = Viewed(variant=variant)
    if parts().store.post(record.instance, write_mail(letter), fold=fold_of(letter)):
        look_after(record.instance)


def _listen(page: str, instance: str, variant: str) -> None:
    here, channels = parts(), [view_channel(instance)]
    here.store.link(page, instance)
    if not variant_on(page, instance):
        channels.append(variant_channel(instance, variant))
        here.store.subscribe(page, channels[-1])
    here.bus.join(page, channels)


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
        kwargs=encoded,
        tag=tag,
        css_class=css,
        **site_facts(),
    )


def _mount(record: Record) -> Record:
    # Above what any page may still show of a record that was lost, whichever process had mounted it.
    record = replace(record, rev=int(parts().bus.now() * 1000))
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
