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
from htmx_live.core.conf import settings, site_locale
from htmx_live.core.exceptions import Busy, InstanceExpired, InstanceGone, StateError, TurnError
from htmx_live.core.fragments import Fragment, text_target
from htmx_live.core.records import SHARED_DIGEST, Owner, Record
from htmx_live.core.signing import ViewGrant, random_id
from htmx_live.runtime import rendering
from htmx_live.runtime.dispatch import (
    dispatch,
    push_to_instances,
    render_current,
    restore_turn,
    schedule_turn,
    start_jobs,
)
from htmx_live.runtime.inbox_messages import AttachPage, VariantViewed, coalesce_key, serialize_message
from htmx_live.runtime.processes import check_epoch
from htmx_live.runtime.request_context import activate, atomic_if_configured, request_fields, run_after_commit
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode, encode
from htmx_live.runtime.turn import Turn
from htmx_live.runtime.turn_result import (
    InitialTurn,
    TurnResult,
    build_result,
    run_initial_turn,
    start_ticking,
    store_initial_turn,
)
from htmx_live.runtime.variants import (
    active_variant,
    is_recently_viewed,
    page_variant,
    touch_variant,
    variant_channel,
    with_variant,
)
from htmx_live.runtime.view import Live, import_view, view_path

__all__ = [
    "MountResult",
    "Visit",
    "get_or_mount_shared",
    "mount",
    "notify_viewed",
    "reattach",
    "reattach_view",
    "remount",
    "render_child",
    "resubscribe_shared",
]


def get_or_mount_shared(
    cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str, pages: Iterable[str], request: HttpRequest | None
) -> tuple[Record, Fragment]:
    """The shared instance of ``cls`` that ``kwargs`` name, as it is now; ``pages`` will be told of its changes.

    ``request`` is that of the visitor, whose permission is asked; ``PermissionDenied`` without it.
    """
    record = _build_shared_record(cls, kwargs, tag=tag, css=css)
    if request is not None:
        Turn(record, request=request).check_permission()
    store, variant = services().store, active_variant()
    loaded = store.load(record.instance)
    record = loaded.record if loaded else _mount_shared(touch_variant(record, variant))
    for page in pages:
        _subscribe_to_shared(page, record.instance, variant)
    loaded = store.load(record.instance)  # once more: nobody has heard of what came before they listened
    record = loaded.record if loaded else record
    _notify_variant_viewed(record, variant)
    start_ticking(record)
    try:
        return record, render_current(with_variant(record, variant))
    except InstanceGone:  # other code has saved it
        record = _mount_shared(touch_variant(_build_shared_record(cls, kwargs, tag=tag, css=css), variant))
        return record, render_current(with_variant(record, variant))


def resubscribe_shared(record: Record, page: str) -> None:
    """A page asks for what it missed of ``record``: it listens again if that was forgotten."""
    if record.shared and not page_variant(page, record.instance):
        _subscribe_to_shared(page, record.instance, active_variant())
    notify_viewed(record, page)


def notify_viewed(record: Record, page: str) -> None:
    """A page that shows ``record`` is there: a shared one is rendered in its variant from now on."""
    variant = page_variant(page, record.instance) if record.shared else ""
    if variant:
        _notify_variant_viewed(record, variant)


def _notify_variant_viewed(record: Record, variant: str) -> None:
    if is_recently_viewed(record, variant):
        return
    message = VariantViewed(variant=variant)
    if services().store.enqueue(record.instance, serialize_message(message), coalesce_key=coalesce_key(message)):
        schedule_turn(record.instance)


def _subscribe_to_shared(page: str, instance: str, variant: str) -> None:
    process_services, channels = services(), [view_channel(instance)]
    process_services.store.add_viewer(page, instance)
    if not page_variant(page, instance):
        channels.append(variant_channel(instance, variant))
        process_services.store.add_subscription(page, channels[-1])
    process_services.bus.add_channels(page, channels)


def _build_shared_record(cls: type[Live], kwargs: dict[str, Any], *, tag: str, css: str) -> Record:
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
        **site_locale(),
    )


def _mount_shared(record: Record) -> Record:
    # Above what any page may still show of a record that was lost, whichever process had mounted it.
    record = replace(record, rev=int(services().bus.now() * 1000))
    with activate(record):
        initial = run_initial_turn(record, request=None, page="", get_owner=lambda create: Owner())
    if initial.result.redirect:
        raise TurnError(f"{record.view} is a shared view: its mount() cannot ask for a redirect.")
    if not store_initial_turn(initial, once=True):
        loaded = services().store.load(record.instance)  # somebody else was faster
        return loaded.record if loaded else initial.result.record
    run_after_commit(lambda: _run_after_store(initial))
    return initial.result.record


def _run_after_store(initial: InitialTurn) -> None:
    start_jobs(initial.turn)
    for push in initial.turn.pushes:
        push_to_instances(push)


logger = logging.getLogger("htmx_live.runtime")

# What a record knows of its user's last request; see facts_of().
_REQUEST_FIELDS = ("language", "time_zone", "script_prefix", "secure", "host", "path", "query")
_CONNECT_TIMEOUT = 30.0  # seconds that a page counts as present before its stream opens
_MAX_EARLIER_EPOCHS = 8  # of the stores that have lost an instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A user's request as mounting sees it.

    ``owners(create)`` are those that it may act for: never none, and the first one owns what is mounted.  With
    ``create`` a visitor who has no token gets one.
    """

    request: HttpRequest
    page: str
    get_owners: Callable[[bool], Sequence[Owner]]

    def get_owner(self, create: bool) -> Owner:
        return self.get_owners(create)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class MountResult:
    """A live view on a page; ``turned.fragment`` is None only when ``mount()`` asked to go elsewhere."""

    view: Live
    result: TurnResult


def mount(
    cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], key: str = "", tag: str = "", css: str = ""
) -> MountResult:
    """A new instance of ``cls``, stored, with its jobs started.

    Raises ``PermissionDenied``, and ``StateError`` for kwargs or state that cannot be kept.
    """
    if cls.scope == "shared":
        return _attach_shared(cls, visit, kwargs=kwargs, tag=tag, css=css)
    return _run_mount(_build_record(cls, visit, kwargs=kwargs, key=key, tag=tag, css=css), visit)


def remount(grant: ViewGrant, visit: Visit, *, rev: int) -> MountResult:
    """The instance that ``grant`` names, whose record is gone, under the same id and with the next rev.

    If a record of another session or visitor has that id, the instance gets an id of its own.  Two requests may ask
    for it at once: the second finds what the first has made.  Raises ``InstanceExpired`` if the code of the view is
    gone, and ``StoreNotShared`` if the instance lives in the memory of another process.
    """
    store = services().store
    check_epoch(grant.epoch, earlier=grant.earlier_epochs)
    cls = _import_granted_view(grant)
    if cls.scope == "shared":
        return _attach_shared(cls, visit, kwargs=decode(grant.kwargs), tag=grant.tag, css=grant.css_class)
    lease = store.acquire(grant.instance, wait=settings().BUSY_TIMEOUT)
    if lease is None:
        raise Busy(f"Instance {grant.instance} was being mounted for more than {settings().BUSY_TIMEOUT} s.")
    try:
        loaded = store.load(grant.instance)
        previous, owners = loaded.record if loaded else None, visit.get_owners(False)
        if previous is not None and previous.owner.token not in {owner.token for owner in owners}:
            return _retarget(grant.instance, _mount_from_grant(grant, visit, instance=random_id(), rev=rev))
        if previous is not None and previous.owner in owners and previous.rev > rev:
            return _render_existing(previous)
        services().bus.clear_texts_under(text_target(grant.instance, ""))  # they belong to a state that is gone
        mounted = _mount_from_grant(grant, visit, instance=grant.instance, rev=rev)
        for row in previous.jobs if previous else ():
            services().runner.cancel(row.ref)
        return mounted
    finally:
        if store.release(lease):
            schedule_turn(grant.instance)


def _mount_from_grant(grant: ViewGrant, visit: Visit, *, instance: str, rev: int) -> MountResult:
    record = Record(
        instance=instance,
        view=grant.view,
        owner=visit.get_owner(False),
        kwargs=grant.kwargs,
        key=grant.key,
        rev=rev,
        pages=(visit.page,),
        tag=grant.tag or _import_granted_view(grant).root_tag,
        css_class=grant.css_class,
        earlier_epochs=_earlier_epochs(grant),
        **request_fields(visit.request),
    )
    with atomic_if_configured():
        return _run_mount(record, visit)


def _retarget(instance: str, result: MountResult) -> MountResult:
    """Have the page swap the root of ``mounted`` for the one of ``instance``."""
    fragment = result.result.fragment
    retargeted = replace(fragment, target=f"live-{instance}") if fragment else None
    return replace(result, result=replace(result.result, fragment=retargeted))


def _attach_shared(cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], tag: str, css: str) -> MountResult:
    record, fragment = get_or_mount_shared(
        cls, kwargs=kwargs, tag=tag, css=css, pages=[visit.page], request=visit.request
    )
    services().store.touch_page(visit.page, present_for=_CONNECT_TIMEOUT, retain_for=0)
    return MountResult(view=_restore_view(record), result=build_result(record, fragment, []))


def reattach(instance: str, visit: Visit, *, expected: Record) -> TurnResult | None:
    """Show an instance of another page load on this page; None unless it is the same as ``like``.

    The same means: of the same user and view, with the same kwargs and key.  The caller has checked that the request
    may act for its owner, whose token may be another one than that of ``like``.
    """
    loaded = services().store.load(instance)
    if loaded is None or loaded.record.shared or _identity(loaded.record) != _identity(expected):
        return None
    if loaded.record.is_broken:
        return None
    fields = {name: getattr(expected, name) for name in _REQUEST_FIELDS}
    return _attach_page(loaded.record, AttachPage(page=visit.page, request=visit.request, fields=fields))


def _attach_page(record: Record, event: AttachPage) -> TurnResult | None:
    """Its children first, so that the answer shows them as they are; one that is gone keeps nobody back."""
    for child in record.own_children():
        loaded = services().store.load(child)
        if loaded is not None:
            _attach_page(loaded.record, event)
    try:
        return dispatch(record.instance, event)
    except (InstanceGone, Busy, PermissionDenied):
        return None


def reattach_view(
    cls: type[Live], visit: Visit, instance: str, *, kwargs: dict[str, Any], key: str
) -> MountResult | None:
    """See ``adopt()``: what a page that is being rendered would mount, but for an instance that is there."""
    result = reattach(instance, visit, expected=_build_record(cls, visit, kwargs=kwargs, key=key))
    return None if result is None else MountResult(view=_restore_view(result.record), result=result)


def _build_record(
    cls: type[Live], visit: Visit, *, kwargs: dict[str, Any], key: str, tag: str = "", css: str = ""
) -> Record:
    return Record(
        instance=random_id(),
        view=view_path(cls),
        owner=visit.get_owner(False),
        kwargs={name: encode(value, f"the argument {name} of {cls.__name__}") for name, value in kwargs.items()},
        key=key,
        pages=(visit.page,),
        tag=tag or cls.root_tag,
        css_class=css,
        **request_fields(visit.request),
    )


def _identity(record: Record) -> tuple[Any, ...]:
    return record.owner.user, record.view, record.kwargs, record.key, record.parent


def _run_mount(record: Record, visit: Visit) -> MountResult:
    with activate(record):
        initial = run_initial_turn(record, request=visit.request, page=visit.page, get_owner=visit.get_owner)
    result = MountResult(view=initial.turn.view, result=initial.result)
    if initial.result.redirect:
        return result
    run_after_commit(lambda: _store_mount(initial, visit.page))
    if initial.result.fragment is None:  # mount() skipped the render: an empty root
        empty = rendering.build_root_fragment(initial.result.record, SafeString())
        return replace(result, result=replace(initial.result, fragment=empty))
    return result


def _store_mount(initial: InitialTurn, page: str) -> None:
    store_initial_turn(initial)
    services().store.touch_page(page, present_for=_CONNECT_TIMEOUT, retain_for=0)
    start_jobs(initial.turn)
    for push in initial.turn.pushes:
        push_to_instances(push)


def _render_existing(record: Record) -> MountResult:
    with activate(record):
        turn = restore_turn(record)
        turn.check_permission()
    return MountResult(view=turn.view, result=build_result(record, render_current(record), []))


def _restore_view(record: Record) -> Live:
    with activate(record):
        return restore_turn(record).view


def _import_granted_view(grant: ViewGrant) -> type[Live]:
    try:
        decode(grant.kwargs)
        return import_view(grant.view)
    except (ImportError, StateError):
        logger.exception("Instance %s (%s) cannot be mounted again", grant.instance, grant.view)
        raise InstanceExpired(f"The view of instance {grant.instance} is there no more.") from None


def _earlier_epochs(grant: ViewGrant) -> tuple[str, ...]:
    has_changed = grant.epoch != services().store.epoch
    return (*grant.earlier_epochs, grant.epoch)[-_MAX_EARLIER_EPOCHS:] if has_changed else grant.earlier_epochs


def render_child(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], key: str, tag: str, css: str) -> SafeString:
    """The root of the child of ``turn``'s view that ``cls`` and ``key`` name; without a key, by its position.

    A user without permission sees nothing in its place.
    """
    if cls.scope == "shared":
        return _render_shared_child(turn, cls, kwargs=kwargs, tag=tag, css=css)
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
    encoded_kwargs = {word: encode(value, f"the argument {word} of {cls.__name__}") for word, value in kwargs.items()}
    digest = blake2b(json.dumps([encoded_kwargs, tag, css], sort_keys=True).encode(), digest_size=8).hexdigest()
    instance, known_digest = turn.record.children.get(name, ("", ""))
    known = services().store.load(instance) if known_digest == digest else None
    if known is not None:
        turn.children[name] = (instance, digest)
        return (
            _render_existing_child(known.record)
            if turn.child_mode == "full"
            else _placeholder_root(instance, tag or cls.root_tag)
        )
    if turn.child_mode == "full":
        return SafeString()  # nothing is mounted by looking; the parent's next turn brings it
    return _mount_child(
        turn, name, digest, _build_child_record(turn, cls, name=name, kwargs=encoded_kwargs, tag=tag, css=css)
    )


def _render_existing_child(record: Record) -> SafeString:
    try:
        return render_current(record).html
    except InstanceGone:  # other code has saved it
        return SafeString()


def _placeholder_root(instance: str, tag: str) -> SafeString:
    return format_html('<{} id="live-{}" data-live="" data-live-rev="0" data-live-pending=""></{}>', tag, instance, tag)


def _render_shared_child(turn: Turn, cls: type[Live], *, kwargs: dict[str, Any], tag: str, css: str) -> SafeString:
    """A shared view in a template of one user's: shown there, and not its parent's to end."""
    pages = turn.record.pages
    record, fragment = get_or_mount_shared(cls, kwargs=kwargs, tag=tag, css=css, pages=pages, request=turn.request)
    name = f"{record.view}@{record.instance}"
    turn.children[name] = (record.instance, SHARED_DIGEST)
    is_on_page = turn.child_mode == "placeholder" and name in turn.record.children
    return _placeholder_root(record.instance, record.tag) if is_on_page else fragment.html


def _mount_child(turn: Turn, name: str, digest: str, record: Record) -> SafeString:
    try:
        initial = run_initial_turn(record, request=turn.request, page=turn.page, get_owner=turn.get_owner)
    except PermissionDenied:
        return SafeString()
    if initial.result.redirect:
        raise TurnError(
            f"{record.view}.mount() asked for a redirect, which only the view of a whole page may do there."
        )
    turn.new_children.append(initial)
    turn.children[name] = (record.instance, digest)
    fragment = initial.result.fragment
    return fragment.html if fragment else rendering.render_root(initial.result.record, SafeString())


def _build_child_record(
    turn: Turn, cls: type[Live], *, name: str, kwargs: dict[str, Any], tag: str, css: str
) -> Record:
    parent = turn.record
    return Record(
        instance=random_id(),
        view=view_path(cls),
        owner=turn.get_owner(False),
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
