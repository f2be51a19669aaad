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

from htmx_live.backends import Catchup, Message
from htmx_live.backends.wire import APPEND, SYNC, append_data, page_channel, user_channel
from htmx_live.core.conf import is_debug, settings
from htmx_live.core.exceptions import ArgumentsTooLarge, GrantError, InstanceGone, MalformedArguments
from htmx_live.core.fragments import Fragment, join, text_target
from htmx_live.core.records import Record
from htmx_live.core.signing import ViewGrant
from htmx_live.runtime.dispatch import drain, end, present, revive
from htmx_live.runtime.mounting import Visit, adopt, look_again, mount_again
from htmx_live.runtime.owners import owner_of
from htmx_live.runtime.ownership import find, is_allowed, view_grant
from htmx_live.runtime.pages import Page
from htmx_live.runtime.processes import check_position
from htmx_live.runtime.rendering import complete, state_digest
from htmx_live.runtime.services import parts
from htmx_live.runtime.subscriptions import listen_again
from htmx_live.runtime.turn_result import watch
from htmx_live.runtime.variants import as_shown_on, shared_channels

__all__ = ["MAX_REV", "Question", "answer_sync", "end_unnamed", "read_question"]


logger = logging.getLogger("htmx_live.http.endpoints")

MAX_REV = 2**53  # past it JavaScript cannot count on

_MAX_ROOTS = 2000
_ARRIVAL = 30  # seconds that the HTML of a new root may take to its page


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a page says it has; see docs/wire.md."""

    number: str = ""
    roots: list[tuple[str, int]] = field(default_factory=list)  # view grant, rev
    states: dict[str, str] = field(default_factory=dict)  # view grant -> digest of its state
    streams: dict[str, str] = field(default_factory=dict)  # id of a text stream's element -> GENERATION.OFFSET
    adopt: list[str] = field(default_factory=list)  # view grants
    words: list[str] = field(default_factory=list)  # for the channels that its regions hear; see listening.py
    poll: bool = False
    hidden: bool = False


def read_question(body: bytes) -> Question:
    """The question in a request's body; ``MalformedArguments`` when it is none."""
    if len(body) > 4096 * _MAX_ROOTS:
        raise ArgumentsTooLarge(f"the question is {len(body)} bytes long")
    try:
        given = json.loads(body)
        # Ids are unique in a page: what is named twice is answered once.  An empty root is a child that the page
        # lacks, which its parent says by a rev of 0.
        roots = list({str(root["live"]): _rev(root["rev"]) for root in given.get("roots", []) if root["live"]}.items())
        return Question(
            number=str(given.get("number", "")),
            roots=roots[:_MAX_ROOTS],
            states={str(root["live"]): str(root.get("state", "")) for root in given.get("roots", [])},
            streams={str(target): str(at) for target, at in given.get("streams", {}).items()},
            adopt=list(dict.fromkeys(str(grant) for grant in given.get("adopt", [])))[:_MAX_ROOTS],
            words=list(dict.fromkeys(str(word) for word in given.get("words", [])))[:_MAX_ROOTS],
            poll=bool(given.get("poll")),
            hidden=bool(given.get("hidden")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise MalformedArguments("the question is not the JSON object that docs/wire.md describes") from None


def _rev(given: Any) -> int:
    return max(0, min(int(given), MAX_REV))


def answer_sync(request: HttpRequest, page: Page, question: Question) -> HttpResponse:
    """The answer to ``question``.  Raises what an event of a view that may not be seen would."""
    check_position(question.number)
    for word in question.words if page.is_joined else ():
        listen_again(page, word, since=question.number)
    # Read before the roots: what happens in between is then sent twice, and dropped by its rev, never lost.
    catchup = _missed(page, question.number) if question.poll else None
    answers = _Answers(page.visit(), question)
    earlier = [record for record in (_mine(request, text) for text in question.adopt) if record]
    named = {record.instance for record in earlier}
    for text, rev in question.roots:
        grant = view_grant(text)
        named.add(grant.instance)
        answers.add_root(text, grant, rev, earlier)
    if page.is_joined and len(question.roots) < _MAX_ROOTS:
        end_unnamed(page.id, named, now=time.time())
    for target, at in question.streams.items():
        answers.add_text(target, at)
    if catchup:
        answers.add_messages(catchup.messages)
        if catchup.reset and question.number:  # without a number it is known already
            answers.add_reset()
    _keep_alive(page, question)
    response = answers.response()
    if catchup is not None:
        response["X-Live-Number"] = catchup.position
    return response


def end_unnamed(page: str, named: Collection[str], *, now: float) -> None:
    """End the instances that the page shows no more, with their children; ``now`` is in seconds since 1970.

    A child is its parent's to end.  Shared instances are everybody's, and one that another page shows too stays.
    """
    for instance in set(parts().store.members(page)) - set(named):
        loaded = parts().store.load(instance)
        if loaded is None or loaded.record.shared or loaded.record.parent or loaded.record.pages != (page,):
            continue
        family = _family(loaded.record)
        is_arriving = any(record.granted_at > now - _ARRIVAL for record in family)
        if not is_arriving and not any(record.jobs or record.instance in named for record in family):
            end(instance)


def _family(record: Record) -> list[Record]:
    """A record and those of its children, and of theirs."""
    children = [loaded.record for child in record.own_children() if (loaded := parts().store.load(child))]
    return [record, *(one for child in children for one in _family(child))]


def _missed(page: Page, number: str) -> Catchup:
    """What a stream would have brought since; asked for as often, and allowed to the same."""
    if not is_allowed(page.id, page.request):
        raise PermissionDenied("A view on this page does not let its user in any more.")
    return parts().bus.read(_channels(page), number)


class _Answers:
    """The fragments of one answer, as they are found."""

    def __init__(self, visit: Visit, question: Question) -> None:
        self._visit, self._question = visit, question
        self._fragments: list[Fragment] = []
        self._roots: set[str] = set()  # ids of the roots that are the asking page's
        self._partials: list[str] = []  # of messages
        self._messages: list[dict[str, str]] = []
        self._remounts = 0
        self._losses = 0  # of those that were mounted again, those that were in another state before

    def add_root(self, text: str, grant: ViewGrant, rev: int, earlier: list[Record]) -> None:
        record = find(grant, self._visit.request)
        self._roots.add(f"live-{grant.instance}")
        if record is not None:
            drain(grant.instance)  # pushes have waited for its return
            record = find(grant, self._visit.request)
        if record is not None and (self._take_over(record, earlier) or self._is_current(record, rev)):
            return
        turned = mount_again(grant, self._visit, rev=rev).turned
        if turned.record.instance != grant.instance:
            self._roots.discard(f"live-{grant.instance}")  # its texts are another session's
        self._remounts += 1
        self._losses += self._has_lost(text, turned.record)
        if turned.fragment is not None:
            self._fragments.append(turned.fragment)

    def _has_lost(self, grant: str, fresh: Record) -> bool:
        """Whether the page had more than what is ``fresh``: another state, other jobs, or texts."""
        own, streams = text_target(fresh.instance, ""), self._question.streams.items()
        has_text = any(target.startswith(own) and not at.endswith(".0") for target, at in streams)
        return has_text or self._question.states.get(grant) != state_digest(fresh)

    def _is_current(self, record: Record, rev: int) -> bool:
        """Add what a root at ``rev`` lacks; False when its record's state cannot be read any more."""
        try:
            view = revive(record, request=self._visit.request).view
        except InstanceGone:
            return False
        if not view.has_permission():
            raise PermissionDenied(f"{record.view}.has_permission() said no.")
        watch(record)
        look_again(record, self._visit.page)
        if record.rev > rev:
            self._fragments.append(present(as_shown_on(self._visit.page, record)))
        return True

    def add_text(self, target: str, at: str) -> None:
        """The part of a text stream that an element which stands at ``at`` lacks."""
        root, _, _ = target.partition("-s-")
        text = parts().bus.text(target) if root in self._roots else None
        if text is None:
            return
        generation, _, offset = at.rpartition(".")
        is_number = offset.isascii() and offset.isdigit() and len(offset) < 20
        start = int(offset) if generation == text.generation and is_number else 0
        if generation != text.generation or start < len(text.text):
            self._add_message(APPEND, append_data(target, text.generation, start, text.text[start:]))

    def add_messages(self, messages: Iterable[Message]) -> None:
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
        body = "\n".join([complete(join(self._fragments)), *self._partials]).strip()
        if self._messages:
            # Script text is not parsed as HTML, so that only "<" could end it early.
            text = json.dumps(self._messages).replace("<", "\\u003c")
            body += f'\n<script type="application/json" data-live-messages>{text}</script>'
        response = HttpResponse(body) if body else HttpResponse(status=204)
        if self._remounts:
            response["X-Live-Remounted"] = str(self._remounts)
            if self._losses and not is_debug():  # each save of a developer restarts the server
                response["X-Live-Lost"] = str(self._losses)
        return response

    def _add_message(self, event: str, data: str) -> None:
        self._messages.append({"event": event, "data": data})

    def _take_over(self, fresh: Record, earlier: list[Record]) -> bool:
        """Put an instance of an earlier load in the place of the one that was mounted for this load."""
        for record in earlier:
            turned = None if record.instance == fresh.instance else adopt(record.instance, self._visit, like=fresh)
            if turned is not None and turned.fragment is not None:
                earlier.remove(record)
                end(fresh.instance)
                html = turned.fragment.html
                self._fragments.append(Fragment(target=f"live-{fresh.instance}", html=html))
                return True
        return False


def _mine(request: HttpRequest, text: str) -> Record | None:
    try:
        return find(view_grant(text), request)
    except (GrantError, InstanceGone):
        return None  # from before a logout: nothing to take over


def _channels(page: Page) -> list[str]:
    owner = owner_of(page.request)
    own = [page_channel(page.id), *shared_channels(page.id)]
    return [*own, user_channel(owner.user)] if owner.user else own


def _keep_alive(page: Page, question: Question) -> None:
    limits = settings()
    if question.poll:
        parts().watcher.start()
        parts().store.show(page.id, present=3 * limits.POLL_INTERVAL, kept=0)
    if question.hidden:
        parts().store.show(page.id, present=0, kept=limits.HIDDEN_TTL)
