"""Mounting: the first turn of an instance, and mounting it again when its record is gone.

Shared views: one record for all who look at it, rendered and sent once for each of its variants.

The first viewer mounts it.  Two who come at once may both mount, and the first to be stored stays; nothing waits here,
for a shared view may stand in another view's template, whose turn holds a lease.

Children: live views inside a live view's template, found again by key from render to render.

    known, same kwargs ──▶ left as it is: the parent's fragment carries its empty root, which the page does not touch
    known, other kwargs ─▶ mounted anew, the old one ends
    known, record gone ──▶ mounted anew
    not known ───────────▶ mounted, its whole root stands in the parent's fragment
    not rendered ────────▶ ends once the parent's turn is saved, its jobs cancelled

A page that meets an empty root and has no such child missed the parent's fragment that brought it, and asks for the
parent again; then, as on a page load, children are rendered in full.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from htmx_live.backends.wire import view_channel
from htmx_live.core.conf import settings, site_facts
from htmx_live.core.exceptions import Busy, InstanceExpired, InstanceGone, StateError, TurnError
from htmx_live.core.fragments import Fragment, text_target
from htmx_live.core.records import SHARED, Owner, Record
from htmx_live.core.signing import ViewGrant, random_id
from htmx_live.runtime import rendering
from htmx_live.runtime.dispatch import deliver, dispatch, look_after, present, revive, start_jobs
from htmx_live.runtime.inbox_messages import Adopt, Viewed, fold_of, write_mail
from htmx_live.runtime.processes import check_epoch
from htmx_live.runtime.request_context import after_commit, around, atomic_where_asked, facts_of
from htmx_live.runtime.services import parts
from htmx_live.runtime.state import decode, encode
from htmx_live.runtime.turn import Turn
from htmx_live.runtime.turn_result import First, Turned, answer, first_turn, keep, watch
from htmx_live.runtime.variants import in_variant, is_fresh, spoken_here, variant_channel, variant_on, viewed
from htmx_live.runtime.view import Live, import_view, view_path

__all__ = [
    "Mounted",
    "Visit",
    "adopt",
    "adopt_into",
    "child",
    "look_again",
    "mount",
    "mount_again",
    "say_viewed",
    "show_shared",
]


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


logger = logging.getLogger("htmx_live.runtime")

# What a record knows of its user's last request; see facts_of().
_FACTS = ("language", "time_zone", "script_prefix", "secure", "host", "path", "query")
_CONNECT_TIME = 30.0  # seconds that a page counts as present before its stream opens
_EPOCHS_KEPT = 8  # of the stores that have lost an instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A user's request as mounting sees it.

    ``owners(create)`` are those that it may act for: never none, and the first one owns what is mounted.  With
    ``create`` a visitor who has no token gets one.
    """

    request: HttpRequest
    page: str
    owners: Callable[[bool], Sequence[Owner]]

    def owner(self, create: bool) -> Owner:
        return self.owners(create)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A live view on a page; ``turned.fragment`` is None only when ``mount()`` asked to go elsewhere."""

    view: Live
    turned: Turned


def mount(
    cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], key: str = "", tag: str = "", css: str = ""
) -> Mounted:
    """A new instance of ``cls``, stored, with its jobs started.

    Raises ``PermissionDenied``, and ``StateError`` for kwargs or state that cannot be kept.
    """
    if cls.scope == "shared":
        return _shared(cls, visit, kwargs=kwargs, tag=tag, css=css)
    return _begin(_mount_record(cls, visit, kwargs=kwargs, key=key, tag=tag, css=css), visit)


def mount_again(grant: ViewGrant, visit: Visit, *, rev: int) -> Mounted:
    """The instance that ``grant`` names, whose record is gone, under the same id and with the next rev.

    If a record of another session or visitor has that id, the instance gets an id of its own.  Two requests may ask
    for it at once: the second finds what the first has made.  Raises ``InstanceExpired`` if the code of the view is
    gone, and ``StoreNotShared`` if the instance lives in the memory of another process.
    """
    store = parts().store
    check_epoch(grant.epoch, earlier=grant.earlier)
    cls = _class_of(grant)
    if cls.scope == "shared":
        return _shared(cls, visit, kwargs=decode(grant.kwargs), tag=grant.tag, css=grant.css)
    lease = store.acquire(grant.instance, wait=settings().BUSY_TIMEOUT)
    if lease is None:
        raise Busy(f"Instance {grant.instance} was being mounted for more than {settings().BUSY_TIMEOUT} s.")
    try:
        loaded = store.load(grant.instance)
        before, owners = loaded.record if loaded else None, visit.owners(False)
        if before is not None and before.owner.token not in {owner.token for owner in owners}:
            return _in_place_of(grant.instance, _remount(grant, visit, instance=random_id(), rev=rev))
        if before is not None and before.owner in owners and before.rev > rev:
            return _present(before)
        parts().bus.end_texts_under(text_target(grant.instance, ""))  # they belong to a state that is gone
        mounted = _remount(grant, visit, instance=grant.instance, rev=rev)
        for row in before.jobs if before else ():
            parts().runner.cancel(row.ref)
        return mounted
    finally:
        if store.release(lease):
            look_after(grant.instance)


def _remount(grant: ViewGrant, visit: Visit, *, instance: str, rev: int) -> Mounted:
    record = Record(
        instance=instance,
        view=grant.view,
        owner=visit.owner(False),
        kwargs=grant.kwargs,
        key=grant.key,
        rev=rev,
        pages=(visit.page,),
        tag=grant.tag or _class_of(grant).root_tag,
        css_class=grant.css,
        earlier_epochs=_earlier_epochs(grant),
        **facts_of(visit.request),
    )
    with atomic_where_asked():
        return _begin(record, visit)


def _in_place_of(instance: str, mounted: Mounted) -> Mounted:
    """Have the page swap the root of ``mounted`` for the one of ``instance``."""
    fragment = mounted.turned.fragment
    moved = replace(fragment, target=f"live-{instance}") if fragment else None
    return replace(mounted, turned=replace(mounted.turned, fragment=moved))


def _shared(cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], tag: str, css: str) -> Mounted:
    record, fragment = show_shared(cls, kwargs=kwargs, tag=tag, css=css, pages=[visit.page], request=visit.request)
    parts().store.show(visit.page, present=_CONNECT_TIME, kept=0)
    return Mounted(view=_revived(record), turned=answer(record, fragment, []))


def adopt(instance: str, visit: Visit, *, like: Record) -> Turned | None:
    """Show an instance of another page load on this page; None unless it is the same as ``like``.

    The same means: of the same user and view, with the same kwargs and key.  The caller has checked that the request
    may act for its owner, whose token may be another one than that of ``like``.
    """
    loaded = parts().store.load(instance)
    if loaded is None or loaded.record.shared or _identity(loaded.record) != _identity(like):
        return None
    if loaded.record.is_broken:
        return None
    facts = {name: getattr(like, name) for name in _FACTS}
    return _adopt(loaded.record, Adopt(page=visit.page, request=visit.request, facts=facts))


def _adopt(record: Record, event: Adopt) -> Turned | None:
    """Its children first, so that the answer shows them as they are; one that is gone keeps nobody back."""
    for child in record.own_children():
        loaded = parts().store.load(child)
        if loaded is not None:
            _adopt(loaded.record, event)
    try:
        return dispatch(record.instance, event)
    except (InstanceGone, Busy, PermissionDenied):
        return None


def adopt_into(cls: type[Live], visit: Visit, instance: str, *, kwargs: dict[str, Any], key: str) -> Mounted | None:
    """See ``adopt()``: what a page that is being rendered would mount, but for an instance that is there."""
    turned = adopt(instance, visit, like=_mount_record(cls, visit, kwargs=kwargs, key=key))
    return None if turned is None else Mounted(view=_revived(turned.record), turned=turned)


def _mount_record(
    cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], key: str, tag: str = "", css: str = ""
) -> Record:
    return Record(
        instance=random_id(),
        view=view_path(cls),
        owner=visit.owner(False),
        kwargs={name: encode(value, f"the argument {name} of {cls.__name__}") for name, value in kwargs.items()},
        key=key,
        pages=(visit.page,),
        tag=tag or cls.root_tag,
        css_class=css,
        **facts_of(visit.request),
    )


def _identity(record: Record) -> tuple[Any, ...]:
    return record.owner.user, record.view, record.kwargs, record.key, record.parent


def _begin(record: Record, visit: Visit) -> Mounted:
    with around(record):
        first = first_turn(record, request=visit.request, page=visit.page, owner=visit.owner)
    mounted = Mounted(view=first.turn.view, turned=first.turned)
    if first.turned.redirect:
        return mounted
    after_commit(lambda: _settle(first, visit.page))
    if first.turned.fragment is None:  # mount() skipped the render: an empty root
        empty = rendering.fragment(first.turned.record, SafeString())
        return replace(mounted, turned=replace(first.turned, fragment=empty))
    return mounted


def _settle(first: First, page: str) -> None:
    keep(first)
    parts().store.show(page, present=_CONNECT_TIME, kept=0)
    start_jobs(first.turn)
    for push in first.turn.pushes:
        deliver(push)


def _present(record: Record) -> Mounted:
    with around(record):
        turn = revive(record)
        turn.allow()
    return Mounted(view=turn.view, turned=answer(record, present(record), []))


def _revived(record: Record) -> Live:
    with around(record):
        return revive(record).view


def _class_of(grant: ViewGrant) -> type[Live]:
    try:
        decode(grant.kwargs)
        return import_view(grant.view)
    except (ImportError, StateError):
        logger.exception("Instance %s (%s) cannot be mounted again", grant.instance, grant.view)
        raise InstanceExpired(f"The view of instance {grant.instance} is there no more.") from None


def _earlier_epochs(grant: ViewGrant) -> tuple[str, ...]:
    has_changed = grant.epoch != parts().store.epoch
    return (*grant.earlier, grant.epoch)[-_EPOCHS_KEPT:] if has_changed else grant.earlier


def child(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], key: str, tag: str, css: str) -> SafeString:
    """The root of the child of ``turn``'s view that ``cls`` and ``key`` name; without a key, by its position.

    A user without permission sees nothing in its place.
    """
    if cls.scope == "shared":
        return _children_shared(turn, cls, kwargs=kwargs, tag=tag, css=css)
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
        return _children_present(known.record) if turn.mode == "full" else _kept(instance, tag or cls.root_tag)
    if turn.mode == "full":
        return SafeString()  # nothing is mounted by looking; the parent's next turn brings it
    return _born(turn, name, digest, _children_record(turn, cls, name=name, kwargs=given, tag=tag, css=css))


def _children_present(record: Record) -> SafeString:
    try:
        return present(record).html
    except InstanceGone:  # other code has saved it
        return SafeString()


def _kept(instance: str, tag: str) -> SafeString:
    return format_html('<{} id="live-{}" data-live="" data-live-rev="0" data-live-pending=""></{}>', tag, instance, tag)


def _children_shared(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str) -> SafeString:
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


def _children_record(turn: Turn, cls: type[Live], *, name: str, kwargs: dict[str, Any], tag: str, css: str) -> Record:
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
