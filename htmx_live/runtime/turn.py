"""``Turn``: the working copy of one instance while its events are applied.

The view's code runs on ``turn.view`` and asks through the turn, which is the view's outlet.  Nothing here is stored or
sent: what is asked for is collected, what is assigned is encoded (``keep``), and what fails is put back (``restore``).

The turn whose code runs here, if any: what that code asks others for waits until the turn is saved.

``JobList``: which jobs of an instance run, and what a turn has to tell the runner once it is saved.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from types import MethodType
from typing import Any, Literal

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseRedirectBase
from django.utils.functional import SimpleLazyObject

from htmx_live.core.concurrency import run_coroutine
from htmx_live.core.conf import settings
from htmx_live.core.exceptions import Cancelled, RefusedValue, StateTooLarge, TurnError, UserError, log_failure
from htmx_live.core.fragments import text_target
from htmx_live.core.records import JobRow, Owner, Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import safe_url
from htmx_live.runtime.files import undone_on_failure
from htmx_live.runtime.inbox_messages import (
    Adopt,
    Call,
    CancelJobs,
    Effect,
    EndText,
    JobFailure,
    Notice,
    PushTo,
    Redirect,
    StartJob,
    WriteText,
)
from htmx_live.runtime.request_context import atomic_where_asked, stand_in
from htmx_live.runtime.services import parts
from htmx_live.runtime.state import decode, encode_state, state_of, take_state
from htmx_live.runtime.url_state import address_of, query_of, query_with, read_url
from htmx_live.runtime.view import Inner, Live, import_view, job_start

__all__ = ["Asked", "JobList", "Turn", "current", "current_turn", "invoke", "lacks_attribute"]


_MAX_WORD = 500  # characters of a job's name and key, which stand in every render
_LOST_KEPT = 16


class JobList:
    """``rows`` are the jobs that run, ``starts`` those to be started and ``dropped`` the refs of those to be cancelled.

    A job that is started and cancelled in one turn is never started.  ``lost`` are those that were given up: one may
    come back as long as nobody has started or cancelled its like.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.rows: list[JobRow] = list(record.jobs)
        self.lost: list[JobRow] = list(record.lost)
        self.starts: list[StartJob] = []
        self.dropped: list[str] = []

    def find(self, ref: str) -> JobRow | None:
        return next((row for row in self.rows if row.ref == ref), None)

    def find_back(self, ref: str) -> JobRow | None:
        """See ``find``; one that was lost runs again."""
        row = next((row for row in self.lost if row.ref == ref), None)
        if row is not None:
            self.lost.remove(row)
            self.rows.append(row)
        return self.find(ref)

    def lose(self, row: JobRow) -> None:
        self.rows.remove(row)
        self.lost = [*self.lost, replace(row, stage="")][-_LOST_KEPT:]

    def restart(self, row: JobRow, again: dict[str, Any]) -> None:
        """Under a new ref: whatever the process that was lost may still hand over is dropped."""
        new = replace(row, ref=random_id(), stage="retrying")
        self.rows[self.rows.index(row)] = new
        self.starts.append(StartJob(row=new, **again))

    def note(self, row: JobRow, **news: Any) -> None:
        self.rows[self.rows.index(row)] = replace(row, **news)

    def start(self, effect: StartJob) -> None:
        """Replaces the job of the same name and key."""
        row = effect.row
        self._drop(lambda other: (other.name, other.key) == (row.name, row.key))
        if len(row.name) + len(row.key) > _MAX_WORD:
            raise TurnError(
                f"The name and key of a job of {self._record.view} are {len(row.name) + len(row.key)} characters long, "
                f"and {_MAX_WORD} are allowed. Tell jobs apart by ids, not by texts."
            )
        if len(self.rows) >= settings().MAX_JOBS_PER_INSTANCE:
            raise TurnError(
                f"{self._record.view} already runs {len(self.rows)} jobs, which is HTMX_LIVE['MAX_JOBS_PER_INSTANCE']. "
                "Give start_async() a name, so that a new start replaces the old one."
            )
        self.rows.append(row)
        self.starts.append(effect)

    def cancel(self, effect: CancelJobs) -> None:
        self._drop(lambda row: effect.name in (row.name, row.handler) and effect.key in (None, row.key))

    def copy(self) -> "JobList":
        other = JobList(self._record)
        other.rows, other.starts, other.dropped = list(self.rows), list(self.starts), list(self.dropped)
        other.lost = list(self.lost)
        return other

    def _drop(self, is_meant: Callable[[JobRow], bool]) -> None:
        self.lost = [row for row in self.lost if not is_meant(row)]
        for row in [row for row in self.rows if is_meant(row)]:
            self.rows.remove(row)
            self.dropped.append(row.ref)
            self.starts = [start for start in self.starts if start.row.ref != row.ref]


logger = logging.getLogger("htmx_live.runtime")

_NONCES_KEPT = 16
_PAGES_KEPT = 4  # pages that show one instance: a reload leaves its old page behind, a duplicated tab adds one


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An effect, and the page of the user who caused it ("" when nobody did)."""

    effect: Effect
    page: str


class Turn:
    """See the module.  ``request`` is the user's, where there is one; ``owner(create)`` says whose a child will be.

    ``children="full"`` renders them as well, for a page that may not have them; by default they are left alone.
    """

    def __init__(
        self,
        record: Record,
        *,
        request: HttpRequest | None = None,
        owner: Callable[[bool], Owner] | None = None,
        children: Literal["kept", "full"] = "kept",
    ) -> None:
        self.record = record
        self.owner = owner or (lambda create: record.owner)
        self.mode = children
        self.children: dict[str, tuple[str, str]] = {}  # as rendered in this turn
        self.born: list[Any] = []  # their first turns (First), of those that were not there before
        self.jobs = JobList(record)
        self.state = record.state  # the last that was good, encoded
        self.asked: list[Asked] = []
        self.pushes: list[PushTo] = []
        self.renders = False  # an event wants to be seen
        self.resends = False  # what was rendered last may have reached nobody
        self.is_broken = False  # one of its events failed because the view lacks an attribute
        self.page = ""
        self._is_rendering = False
        self.address = ""  # what the address bar should show from now on, after "push " or "replace "
        # Most background events never look at it; what is rendered gets one of its own.
        self.stand_in: HttpRequest = SimpleLazyObject(partial(stand_in, record))  # type: ignore[assignment]
        # A shared view has no user outside of a user's event, and no page of which it could know the address.
        self.request = request or (None if record.shared else self.stand_in)
        self.view = self.revive(self.request)

    # The view's outlet

    def ask(self, effect: Effect) -> None:
        if self._is_rendering:
            raise TurnError(
                f"{self.record.view} asked for {type(effect).__name__} while it was rendered, in its template or "
                "get_context_data(). Ask for it in a handler, in mount() or in handle_async_result()."
            )
        if isinstance(effect, StartJob):
            self.jobs.start(effect)
        elif isinstance(effect, CancelJobs):
            self.jobs.cancel(effect)
        elif isinstance(effect, PushTo):
            self.pushes.append(effect)
        else:
            self.asked.append(Asked(effect=effect, page=self.page))

    def flush(self) -> None:
        """In a turn there is nothing to do: its end shows what is set."""

    def text(self, stream: str) -> str | None:
        known = parts().bus.text(text_target(self.record.instance, stream))
        text = None if known is None else known.text
        for effect in (entry.effect for entry in self.asked):
            if isinstance(effect, WriteText) and effect.stream == stream:
                text = effect.text if effect.replace else (text or "") + effect.text
            elif isinstance(effect, EndText) and effect.stream == stream:
                text = None
        return text

    @property
    def cancelled(self) -> bool:
        return False

    def check_cancelled(self) -> None:
        """A turn cannot be cancelled."""

    # State

    def keep(self) -> None:
        """Encode what the view holds now; ``StateError`` when it cannot be kept."""
        state = encode_state(state_of(self.view))
        size = sum(map(len, state.values()))
        if size > settings().MAX_RECORD_SIZE:
            largest = max(state, key=lambda name: len(state[name]))
            raise StateTooLarge(
                f"The state of {self.record.view} is {size} characters long; HTMX_LIVE['MAX_RECORD_SIZE'] allows "
                f"{settings().MAX_RECORD_SIZE}. Its largest attribute is {largest!r}: keep ids and query in "
                "get_context_data(), or raise the limit."
            )
        self.state = state

    def merge(self, changes: dict[str, str], removed: list[str]) -> None:
        """Take over what a job changed."""
        take_state(self.view, changes)
        for name in removed:
            self.view.__dict__.pop(name, None)

    def _note_skip(self) -> None:
        """Each event says for itself whether it wants to be seen; one that does is enough."""
        self.renders = not self.view.__dict__.pop("_skip_render", False) or self.renders

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Run one background event of the view's own code: when it fails, it is logged and its changes are put back."""
        jobs, asked, pushes, inner = self.jobs.copy(), list(self.asked), list(self.pushes), self.view._live
        try:
            with undone_on_failure(), atomic_where_asked():
                yield
                self.keep()
            self._note_skip()
        except Exception as raised:  # a boundary: one event that fails must not keep the others from their turn
            self.is_broken |= lacks_attribute(raised)
            error = random_id()[:8]
            log_failure(logger, raised, "%s of %s failed (error %s)", what, self.record.view, error)
            self.jobs, self.pushes = jobs, pushes
            message = str(raised) if isinstance(raised, UserError) else str(JobFailure(id=error))
            self.asked = [*asked, Asked(effect=Notice(message=message, level="error"), page=self.page)]
            self.view = self.revive(None if self.record.shared else self.stand_in)
            self.view._live.page, self.view._live.starter = inner.page, inner.starter

    def revive(self, request: HttpRequest | None) -> Live:
        record = self.record
        inner = Inner(record=record, kwargs=decode(record.kwargs), request=request, outlet=self)
        view = import_view(record.view)(inner)
        take_state(view, self.state)
        return view

    def begin_rendering(self, record: Record) -> None:
        """From here on the view is as its template sees it: with the stand-in of ``record``, and nothing to ask for."""
        self.stand_in = stand_in(record)
        self.view._live.record = record
        self.view._live.request = None if record.shared else self.stand_in
        self._is_rendering = True

    # Events

    def call(self, event: Call) -> None:
        """A user's event; whatever goes wrong is raised, and the turn ends without a trace."""
        inner = self.view._live
        inner.request, inner.page, inner.starter = event.request, event.page, event.handler.name
        self.page = event.page
        self.allow()
        if event.nonce:
            nonces = (*self.record.nonces, event.nonce)[-_NONCES_KEPT:]
            self.record = replace(self.record, nonces=nonces)
        if event.handler.background:
            self._call_in_background(event)
        else:
            with self._named_in_refusals(event.handler.name):
                answer = invoke(MethodType(event.handler.function, self.view), **event.arguments)
                self.heed(answer, event.handler.name)
        self._write_url(event.request)
        self.keep()
        self._note_skip()

    @contextmanager
    def _named_in_refusals(self, handler: str) -> Iterator[None]:
        try:
            yield
        except RefusedValue as refused:
            refused.source = f"{self.record.view}.{handler}()"
            raise

    def adopt(self, event: Adopt) -> None:
        """Show the instance on another page."""
        self.allow()
        if self.record.shared:
            return  # linked to the page when it is shown there
        # A child that is gone comes back with a render.
        self.renders = any(parts().store.load(child) is None for child in self.record.own_children())
        others = tuple(page for page in self.record.pages if page != event.page)
        self.record = replace(self.record, pages=(*others, event.page)[-_PAGES_KEPT:])

    def mount(self, page: str) -> None:
        """The first event of all."""
        inner = self.view._live
        inner.page, inner.starter = page, "mount"
        self.page = page
        if not self.record.shared:  # then asked for each viewer
            self.allow()
        request = self.request or self.stand_in
        self.heed(invoke(self.view.mount, request, **inner.kwargs), "mount")
        # The page's query string: the request may be an event's, of a view that is mounted again or brings a child.
        self.record = replace(self.record, url=read_url(self.view, self.stand_in))
        self.keep()
        self._note_skip()

    def allow(self) -> None:
        if not self.view.has_permission():
            raise PermissionDenied(f"{self.record.view}.has_permission() said no.")

    def _write_url(self, request: HttpRequest) -> None:
        record = self.record
        if type(self.view).url_state:
            query, is_pushed = query_with(self.view, record.url, query_of(record, request))
            if query != record.query:
                self.record = replace(record, query=query)
                self.address = f"{'push' if is_pushed else 'replace'} {address_of(record, query)}"

    def _call_in_background(self, event: Call) -> None:
        handler = event.handler
        key = None if handler.key is None else event.arguments.get(handler.key)
        callback = getattr(self.view, handler.name)
        self.ask(
            job_start(
                self.view,
                callback,
                kwargs=event.arguments,
                name=handler.name,
                key=key,
                starter=handler.name,
                page=event.page,
            )
        )

    def heed(self, answer: Any, name: str) -> None:
        """What a handler returns: nothing, or a redirect."""
        if isinstance(answer, HttpResponseRedirectBase):
            self.ask(Redirect(url=safe_url(answer.url, self.request or self.stand_in)))
        elif answer is not None:
            raise TypeError(
                f"{self.record.view}.{name}() returned {type(answer).__name__}; a handler returns None or a redirect. "
                "Set attributes on self, and the template shows them."
            )


def invoke(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a sync or async method of the view from the thread of its turn."""
    try:
        return run_coroutine(method, *args, **kwargs) if iscoroutinefunction(method) else method(*args, **kwargs)
    except Cancelled as error:  # no Exception: it would pass by every boundary
        raise TurnError(f"{method.__qualname__}() raised Cancelled, which only a background job may do.") from error


def lacks_attribute(error: BaseException) -> bool:
    """Whether code failed because a view does not have an attribute that it reads."""
    return isinstance(error, AttributeError) and isinstance(error.obj, Live)


_current: ContextVar[Turn | None] = ContextVar("current_turn", default=None)


@contextmanager
def current(turn: Turn) -> Iterator[None]:
    """For a while, the code that runs here is that of ``turn``."""
    token = _current.set(turn)
    try:
        yield
    finally:
        _current.reset(token)


def current_turn() -> Turn | None:
    """None outside of turns, in jobs too."""
    return _current.get()
