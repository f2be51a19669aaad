"""Sync: a page tells what it has, and is told what it lacks.

A root is lacking when its record has a newer rev, is gone (it is mounted again), or is the one that an earlier load of
the same page showed (it is taken over).  A page that has no stream also reads its messages here.

What the page showed once and names no more (plain htmx has put something else in its place) ends: nobody would see its
renders.  Not yet, while a job of it runs, and in its first seconds: its HTML may be on the way.  A root that comes back
all the same, out of a script's hands, is mounted again at its next event, like any whose record is gone.
"""

import json
import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from htmx_live.backends import BusMessage, Replay
from htmx_live.backends.wire import APPEND, SYNC, encode_append, page_channel, user_channel
from htmx_live.core.conf import is_debug, settings
from htmx_live.core.exceptions import ArgumentsTooLarge, GrantError, InstanceGone, MalformedArguments
from htmx_live.core.fragments import Fragment, join_fragments, text_target
from htmx_live.core.records import Record
from htmx_live.core.signing import ViewGrant
from htmx_live.runtime.dispatch import destroy, process_mailbox, render_current, restore_turn
from htmx_live.runtime.mounting import Visit, reattach, remount, resubscribe_shared
from htmx_live.runtime.owners import get_owner
from htmx_live.runtime.ownership import get_owned_record, has_page_permission, read_view_grant
from htmx_live.runtime.pages import Page
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.rendering import fill_placeholders, state_digest
from htmx_live.runtime.services import services
from htmx_live.runtime.subscriptions import resubscribe_page
from htmx_live.runtime.turn_result import start_ticking
from htmx_live.runtime.variants import for_page, subscribed_channels

__all__ = ["MAX_REV", "SyncRequest", "destroy_absent", "parse_sync", "sync_response"]


logger = logging.getLogger("htmx_live.http")

MAX_REV = 2**53  # past it JavaScript cannot count on

_MAX_ROOTS = 2000
_ARRIVAL_GRACE = 30  # seconds that the HTML of a new root may take to its page


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """What a page says it has; see docs/wire.md."""

    number: str = ""
    roots: list[tuple[str, int]] = field(default_factory=list)  # view grant, rev
    states: dict[str, str] = field(default_factory=dict)  # view grant -> digest of its state
    streams: dict[str, str] = field(default_factory=dict)  # id of a text stream's element -> GENERATION.OFFSET
    reattach: list[str] = field(default_factory=list)  # view grants
    subscriptions: list[str] = field(default_factory=list)  # for the channels that its regions hear; see listening.py
    is_polling: bool = False
    is_hidden: bool = False


def parse_sync(body: bytes) -> SyncRequest:
    """The question in a request's body; ``MalformedArguments`` when it is none."""
    if len(body) > 4096 * _MAX_ROOTS:
        raise ArgumentsTooLarge(f"the question is {len(body)} bytes long")
    try:
        given = json.loads(body)
        # Ids are unique in a page: what is named twice is answered once.  An empty root is a child that the page
        # lacks, which its parent says by a rev of 0.
        roots = list(
            {str(root["live"]): _clamp_rev(root["rev"]) for root in given.get("roots", []) if root["live"]}.items()
        )
        return SyncRequest(
            number=str(given.get("number", "")),
            roots=roots[:_MAX_ROOTS],
            states={str(root["live"]): str(root.get("state", "")) for root in given.get("roots", [])},
            streams={str(target): str(at) for target, at in given.get("streams", {}).items()},
            reattach=list(dict.fromkeys(str(grant) for grant in given.get("adopt", [])))[:_MAX_ROOTS],
            subscriptions=list(dict.fromkeys(str(word) for word in given.get("subscriptions", [])))[:_MAX_ROOTS],
            is_polling=bool(given.get("poll")),
            is_hidden=bool(given.get("hidden")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise MalformedArguments("the question is not the JSON object that docs/wire.md describes") from None


def _clamp_rev(given: Any) -> int:
    return max(0, min(int(given), MAX_REV))


def sync_response(request: HttpRequest, page: Page, sync_request: SyncRequest) -> HttpResponse:
    """The answer to ``question``.  Raises what an event of a view that may not be seen would."""
    check_position(sync_request.number)
    for subscription in sync_request.subscriptions if page.is_joined else ():
        resubscribe_page(page, subscription, since=sync_request.number)
    # Read before the roots: what happens in between is then sent twice, and dropped by its rev, never lost.
    replay = _read_missed(page, sync_request.number) if sync_request.is_polling else None
    builder = _SyncBuilder(page.visit(), sync_request)
    earlier_records = [
        record for record in (_find_own_record(request, text) for text in sync_request.reattach) if record
    ]
    named_instances = {record.instance for record in earlier_records}
    for text, rev in sync_request.roots:
        grant = read_view_grant(text)
        named_instances.add(grant.instance)
        builder.add_root(text, grant, rev, earlier_records)
    if page.is_joined and len(sync_request.roots) < _MAX_ROOTS:
        destroy_absent(page.id, named_instances, now=time.time())
    for target, at in sync_request.streams.items():
        builder.add_text(target, at)
    if replay:
        builder.add_messages(replay.messages)
        if replay.is_reset and sync_request.number:  # without a number it is known already
            builder.add_reset()
    _touch_page(page, sync_request)
    response = builder.response()
    if replay is not None:
        response["X-Live-Number"] = replay.position
    return response


def destroy_absent(page: str, named_instances: Collection[str], *, now: float) -> None:
    """End the instances that the page shows no more, with their children; ``now`` is in seconds since 1970.

    A child is its parent's to end.  Shared instances are everybody's, and one that another page shows too stays.
    """
    for instance in set(services().store.instances_on(page)) - set(named_instances):
        loaded = services().store.load(instance)
        if loaded is None or loaded.record.shared or loaded.record.parent or loaded.record.pages != (page,):
            continue
        family = _with_descendants(loaded.record)
        is_arriving = any(record.granted_at > now - _ARRIVAL_GRACE for record in family)
        if not is_arriving and not any(record.jobs or record.instance in named_instances for record in family):
            destroy(instance)


def _with_descendants(record: Record) -> list[Record]:
    """A record and those of its children, and of theirs."""
    children = [loaded.record for child in record.own_children() if (loaded := services().store.load(child))]
    return [record, *(one for child in children for one in _with_descendants(child))]


def _read_missed(page: Page, number: str) -> Replay:
    """What a stream would have brought since; asked for as often, and allowed to the same."""
    if not has_page_permission(page.id, page.request):
        raise PermissionDenied("A view on this page does not let its user in any more.")
    return services().bus.read(_page_channels(page), number)


class _SyncBuilder:
    """The fragments of one answer, as they are found."""

    def __init__(self, page: Visit, sync_request: SyncRequest) -> None:
        self._page, self._sync_request = page, sync_request
        self._fragments: list[Fragment] = []
        self._roots: set[str] = set()  # ids of the roots that are the asking page's
        self._partials: list[str] = []  # of messages
        self._messages: list[dict[str, str]] = []
        self._remounts = 0
        self._lost_states = 0  # of those that were mounted again, those that were in another state before

    def add_root(self, text: str, grant: ViewGrant, rev: int, earlier_records: list[Record]) -> None:
        record = get_owned_record(grant, self._page.request)
        self._roots.add(f"live-{grant.instance}")
        if record is not None:
            process_mailbox(grant.instance)  # pushes have waited for its return
            record = get_owned_record(grant, self._page.request)
        if record is not None and (self._reattach(record, earlier_records) or self._add_update(record, rev)):
            return
        turned = remount(grant, self._page, rev=rev).result
        if turned.record.instance != grant.instance:
            self._roots.discard(f"live-{grant.instance}")  # its texts are another session's
        self._remounts += 1
        self._lost_states += self._has_lost_state(text, turned.record)
        if turned.fragment is not None:
            self._fragments.append(turned.fragment)

    def _has_lost_state(self, grant: str, fresh: Record) -> bool:
        """Whether the page had more than what is ``fresh``: another state, other jobs, or texts."""
        own, streams = text_target(fresh.instance, ""), self._sync_request.streams.items()
        has_text = any(target.startswith(own) and not at.endswith(".0") for target, at in streams)
        return has_text or self._sync_request.states.get(grant) != state_digest(fresh)

    def _add_update(self, record: Record, rev: int) -> bool:
        """Add what a root at ``rev`` lacks; False when its record's state cannot be read any more."""
        try:
            view = restore_turn(record, request=self._page.request).view
        except InstanceGone:
            return False
        if not view.has_permission():
            raise PermissionDenied(f"{record.view}.has_permission() said no.")
        start_ticking(record)
        resubscribe_shared(record, self._page.page)
        if record.rev > rev:
            self._fragments.append(render_current(for_page(self._page.page, record)))
        return True

    def add_text(self, target: str, at: str) -> None:
        """The part of a text stream that an element which stands at ``at`` lacks."""
        root, _, _ = target.partition("-s-")
        text = services().bus.text(target) if root in self._roots else None
        if text is None:
            return
        generation, _, offset = at.rpartition(".")
        is_number = offset.isascii() and offset.isdigit() and len(offset) < 20
        start = int(offset) if generation == text.generation and is_number else 0
        if generation != text.generation or start < len(text.text):
            self._add_message(APPEND, encode_append(target, text.generation, start, text.text[start:]))

    def add_messages(self, messages: Iterable[BusMessage]) -> None:
        """What was published to a page that has no stream."""
        shown = {fragment.target for fragment in self._fragments}
        for message in messages:
            if message.event in (APPEND, SYNC):
                continue  # the page has named its roots and text streams, which has been answered
            if message.event:
                self._add_message(message.event, message.data)
            elif message.target not in shown:
                self._partials.append(message.data)

    def add_reset(self) -> None:
        """What it missed is not known: its regions fetch themselves anew."""
        self._add_message("reset", "{}")

    def response(self) -> HttpResponse:
        body = "\n".join([fill_placeholders(join_fragments(self._fragments)), *self._partials]).strip()
        if self._messages:
            # Script text is not parsed as HTML, so that only "<" could end it early.
            text = json.dumps(self._messages).replace("<", "\\u003c")
            body += f'\n<script type="application/json" data-live-messages>{text}</script>'
        response = HttpResponse(body) if body else HttpResponse(status=204)
        if self._remounts:
            response["X-Live-Remounted"] = str(self._remounts)
            if self._lost_states and not is_debug():  # each save of a developer restarts the server
                response["X-Live-Lost"] = str(self._lost_states)
        return response

    def _add_message(self, event: str, data: str) -> None:
        self._messages.append({"event": event, "data": data})

    def _reattach(self, fresh: Record, earlier_records: list[Record]) -> bool:
        """Put an instance of an earlier load in the place of the one that was mounted for this load."""
        for record in earlier_records:
            turned = (
                None if record.instance == fresh.instance else reattach(record.instance, self._page, expected=fresh)
            )
            if turned is not None and turned.fragment is not None:
                earlier_records.remove(record)
                destroy(fresh.instance)
                html = turned.fragment.html
                self._fragments.append(Fragment(target=f"live-{fresh.instance}", html=html))
                return True
        return False


def _find_own_record(request: HttpRequest, text: str) -> Record | None:
    try:
        return get_owned_record(read_view_grant(text), request)
    except (GrantError, InstanceGone):
        return None  # from before a logout: nothing to take over


def _page_channels(page: Page) -> list[str]:
    owner = get_owner(page.request)
    own = [page_channel(page.id), *subscribed_channels(page.id)]
    return [*own, user_channel(owner.user)] if owner.user else own


def _touch_page(page: Page, sync_request: SyncRequest) -> None:
    limits = settings()
    if sync_request.is_polling:
        services().deadline_monitor.start()
        services().store.touch_page(page.id, present_for=3 * limits.POLL_INTERVAL, retain_for=0)
    if sync_request.is_hidden:
        services().store.touch_page(page.id, present_for=0, retain_for=limits.HIDDEN_TTL)
