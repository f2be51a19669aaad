"""Mounting: the first turn of an instance, and mounting it again when its record is gone."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.safestring import SafeString

from htmx_live.conf import settings
from htmx_live.events import Adopt
from htmx_live.exceptions import Busy, InstanceExpired, InstanceGone, StateError
from htmx_live.fragments import text_target
from htmx_live.grants import ViewGrant, random_id
from htmx_live.live import Live, import_view, view_path
from htmx_live.records import Owner, Record
from htmx_live.runtime import render as rendering
from htmx_live.runtime.dispatch import deliver, dispatch, look_after, start_jobs
from htmx_live.runtime.first import First, first_turn, keep
from htmx_live.runtime.outcome import Turned, answer
from htmx_live.runtime.parts import parts
from htmx_live.runtime.present import present
from htmx_live.runtime.processes import check_epoch
from htmx_live.runtime.revive import revive
from htmx_live.runtime.shared import show_shared
from htmx_live.runtime.surroundings import after_commit, around, atomic_where_asked, facts_of
from htmx_live.state import decode, encode

__all__ = ["Mounted", "Visit", "adopt", "adopt_into", "mount", "mount_again"]

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
    return _begin(_record(cls, visit, kwargs=kwargs, key=key, tag=tag, css=css), visit)


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
    turned = adopt(instance, visit, like=_record(cls, visit, kwargs=kwargs, key=key))
    return None if turned is None else Mounted(view=_revived(turned.record), turned=turned)


def _record(cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], key: str, tag: str = "", css: str = "") -> Record:
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
