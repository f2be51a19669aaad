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
from htmx_live.core.text import validate_redirect_url
from htmx_live.runtime.files import upload_savepoint
from htmx_live.runtime.inbox_messages import (
    AppendText,
    AttachPage,
    BroadcastPush,
    CancelJobs,
    ClearText,
    Effect,
    JobFailure,
    Redirect,
    ShowToast,
    StartJob,
    UserEvent,
)
from htmx_live.runtime.request_context import atomic_if_configured, synthetic_request
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode, encode_state, get_state, set_state
from htmx_live.runtime.url_state import build_page_url, build_query, current_query, read_url_state
from htmx_live.runtime.view import Live, ViewContext, build_job, import_view

__all__ = [
    "JobTable",
    "PageEffect",
    "Turn",
    "activate_turn",
    "call_handler",
    "current_turn",
    "is_missing_view_attribute",
]


_MAX_JOB_NAME = 500  # characters of a job's name and key, which stand in every render
_MAX_LOST_JOBS = 16


class JobTable:
    """``rows`` are the jobs that run, ``starts`` those to be started and ``dropped`` the refs of those to be cancelled.

    A job that is started and cancelled in one turn is never started.  ``lost`` are those that were given up: one may
    come back as long as nobody has started or cancelled its like.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.rows: list[JobRow] = list(record.jobs)
        self.lost: list[JobRow] = list(record.lost)
        self.to_start: list[StartJob] = []
        self.to_cancel: list[str] = []

    def find(self, ref: str) -> JobRow | None:
        return next((row for row in self.rows if row.ref == ref), None)

    def recover(self, ref: str) -> JobRow | None:
        """See ``find``; one that was lost runs again."""
        row = next((row for row in self.lost if row.ref == ref), None)
        if row is not None:
            self.lost.remove(row)
            self.rows.append(row)
        return self.find(ref)

    def mark_lost(self, row: JobRow) -> None:
        self.rows.remove(row)
        self.lost = [*self.lost, replace(row, stage="")][-_MAX_LOST_JOBS:]

    def restart(self, row: JobRow, fields: dict[str, Any]) -> None:
        """Under a new ref: whatever the process that was lost may still hand over is dropped."""
        new = replace(row, ref=random_id(), stage="retrying")
        self.rows[self.rows.index(row)] = new
        self.to_start.append(StartJob(row=new, **fields))

    def update(self, row: JobRow, **changes: Any) -> None:
        self.rows[self.rows.index(row)] = replace(row, **changes)

    def start(self, effect: StartJob) -> None:
        """Replaces the job of the same name and key."""
        row = effect.row
        self._cancel_matching(lambda other: (other.name, other.key) == (row.name, row.key))
        if len(row.name) + len(row.key) > _MAX_JOB_NAME:
            raise TurnError(
                f"The name and key of a job of {self._record.view} are {len(row.name) + len(row.key)} characters long, "
                f"and {_MAX_JOB_NAME} are allowed. Tell jobs apart by ids, not by texts."
            )
        if len(self.rows) >= settings().MAX_JOBS_PER_INSTANCE:
            raise TurnError(
                f"{self._record.view} already runs {len(self.rows)} jobs, which is HTMX_LIVE['MAX_JOBS_PER_INSTANCE']. "
                "Give start_async() a name, so that a new start replaces the old one."
            )
        self.rows.append(row)
        self.to_start.append(effect)

    def cancel(self, effect: CancelJobs) -> None:
        self._cancel_matching(lambda row: effect.name in (row.name, row.handler) and effect.key in (None, row.key))

    def copy(self) -> "JobTable":
        other = JobTable(self._record)
        other.rows, other.to_start, other.to_cancel = list(self.rows), list(self.to_start), list(self.to_cancel)
        other.lost = list(self.lost)
        return other

    def _cancel_matching(self, matches: Callable[[JobRow], bool]) -> None:
        self.lost = [row for row in self.lost if not matches(row)]
        for row in [row for row in self.rows if matches(row)]:
            self.rows.remove(row)
            self.to_cancel.append(row.ref)
            self.to_start = [start for start in self.to_start if start.row.ref != row.ref]


logger = logging.getLogger("htmx_live.runtime")

_MAX_NONCES = 16
_MAX_PAGES = 4  # pages that show one instance: a reload leaves its old page behind, a duplicated tab adds one


@dataclass(frozen=True, slots=True, kw_only=True)
class PageEffect:
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
        get_owner: Callable[[bool], Owner] | None = None,
        child_mode: Literal["placeholder", "full"] = "placeholder",
    ) -> None:
        self.record = record
        self.get_owner = get_owner or (lambda create: record.owner)
        self.child_mode = child_mode
        self.children: dict[str, tuple[str, str]] = {}  # as rendered in this turn
        self.new_children: list[Any] = []  # their first turns (First), of those that were not there before
        self.jobs = JobTable(record)
        self.state = record.state  # the last that was good, encoded
        self.page_effects: list[PageEffect] = []
        self.pushes: list[BroadcastPush] = []
        self.needs_render = False  # an event wants to be seen
        self.force_send = False  # what was rendered last may have reached nobody
        self.is_broken = False  # one of its events failed because the view lacks an attribute
        self.page = ""
        self._is_rendering = False
        self.url_update = ""  # what the address bar should show from now on, after "push " or "replace "
        # Most background events never look at it; what is rendered gets one of its own.
        self.synthetic_request: HttpRequest = SimpleLazyObject(partial(synthetic_request, record))  # type: ignore[assignment]
        # A shared view has no user outside of a user's event, and no page of which it could know the address.
        self.request = request or (None if record.shared else self.synthetic_request)
        self.view = self.build_view(self.request)

    # The view's outlet

    def emit(self, effect: Effect) -> None:
        if self._is_rendering:
            raise TurnError(
                f"{self.record.view} asked for {type(effect).__name__} while it was rendered, in its template or "
                "get_context_data(). Ask for it in a handler, in mount() or in handle_async_result()."
            )
        if isinstance(effect, StartJob):
            self.jobs.start(effect)
        elif isinstance(effect, CancelJobs):
            self.jobs.cancel(effect)
        elif isinstance(effect, BroadcastPush):
            self.pushes.append(effect)
        else:
            self.page_effects.append(PageEffect(effect=effect, page=self.page))

    def flush(self) -> None:
        """In a turn there is nothing to do: its end shows what is set."""

    def get_text(self, stream: str) -> str | None:
        known = services().bus.text(text_target(self.record.instance, stream))
        text = None if known is None else known.text
        for effect in (entry.effect for entry in self.page_effects):
            if isinstance(effect, AppendText) and effect.stream == stream:
                text = effect.text if effect.replace else (text or "") + effect.text
            elif isinstance(effect, ClearText) and effect.stream == stream:
                text = None
        return text

    @property
    def is_cancelled(self) -> bool:
        return False

    def check_cancelled(self) -> None:
        """A turn cannot be cancelled."""

    # State

    def encode_state(self) -> None:
        """Encode what the view holds now; ``StateError`` when it cannot be kept."""
        state = encode_state(get_state(self.view))
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
        set_state(self.view, changes)
        for name in removed:
            self.view.__dict__.pop(name, None)

    def _update_needs_render(self) -> None:
        """Each event says for itself whether it wants to be seen; one that does is enough."""
        self.needs_render = not self.view.__dict__.pop("_skip_render", False) or self.needs_render

    @contextmanager
    def isolate_failure(self, what: str) -> Iterator[None]:
        """Run one background event of the view's own code: when it fails, it is logged and its changes are put back."""
        jobs, asked, pushes, context = self.jobs.copy(), list(self.page_effects), list(self.pushes), self.view._live
        try:
            with upload_savepoint(), atomic_if_configured():
                yield
                self.encode_state()
            self._update_needs_render()
        except Exception as raised:  # a boundary: one event that fails must not keep the others from their turn
            self.is_broken |= is_missing_view_attribute(raised)
            error_id = random_id()[:8]
            log_failure(logger, raised, "%s of %s failed (error %s)", what, self.record.view, error_id)
            self.jobs, self.pushes = jobs, pushes
            message = str(raised) if isinstance(raised, UserError) else str(JobFailure(id=error_id))
            self.page_effects = [*asked, PageEffect(effect=ShowToast(message=message, level="error"), page=self.page)]
            self.view = self.build_view(None if self.record.shared else self.synthetic_request)
            self.view._live.page, self.view._live.handler = context.page, context.handler

    def build_view(self, request: HttpRequest | None) -> Live:
        record = self.record
        context = ViewContext(record=record, kwargs=decode(record.kwargs), request=request, sink=self)
        view = import_view(record.view)(context)
        set_state(view, self.state)
        return view

    def begin_rendering(self, record: Record) -> None:
        """From here on the view is as its template sees it: with the request of ``record``, and nothing to ask for."""
        self.synthetic_request = synthetic_request(record)
        self.view._live.record = record
        self.view._live.request = None if record.shared else self.synthetic_request
        self._is_rendering = True

    # Events

    def handle_event(self, event: UserEvent) -> None:
        """A user's event; whatever goes wrong is raised, and the turn ends without a trace."""
        context = self.view._live
        context.request, context.page, context.handler = event.request, event.page, event.handler.name
        self.page = event.page
        self.check_permission()
        if event.nonce:
            nonces = (*self.record.nonces, event.nonce)[-_MAX_NONCES:]
            self.record = replace(self.record, nonces=nonces)
        if event.handler.is_background:
            self._start_background_handler(event)
        else:
            with self._name_source_of_refused_values(event.handler.name):
                returned = call_handler(MethodType(event.handler.function, self.view), **event.arguments)
                self.handle_return_value(returned, event.handler.name)
        self._update_url(event.request)
        self.encode_state()
        self._update_needs_render()

    @contextmanager
    def _name_source_of_refused_values(self, handler: str) -> Iterator[None]:
        try:
            yield
        except RefusedValue as refused:
            refused.source = f"{self.record.view}.{handler}()"
            raise

    def attach_page(self, event: AttachPage) -> None:
        """Show the instance on another page."""
        self.check_permission()
        if self.record.shared:
            return  # linked to the page when it is shown there
        # A child that is gone comes back with a render.
        self.needs_render = any(services().store.load(child) is None for child in self.record.own_children())
        others = tuple(page for page in self.record.pages if page != event.page)
        self.record = replace(self.record, pages=(*others, event.page)[-_MAX_PAGES:])

    def mount(self, page: str) -> None:
        """The first event of all."""
        context = self.view._live
        context.page, context.handler = page, "mount"
        self.page = page
        if not self.record.shared:  # then asked for each viewer
            self.check_permission()
        request = self.request or self.synthetic_request
        self.handle_return_value(call_handler(self.view.mount, request, **context.kwargs), "mount")
        # The page's query string: the request may be an event's, of a view that is mounted again or brings a child.
        self.record = replace(self.record, url=read_url_state(self.view, self.synthetic_request))
        self.encode_state()
        self._update_needs_render()

    def check_permission(self) -> None:
        if not self.view.has_permission():
            raise PermissionDenied(f"{self.record.view}.has_permission() said no.")

    def _update_url(self, request: HttpRequest) -> None:
        record = self.record
        if type(self.view).url_state:
            query, is_pushed = build_query(self.view, record.url, current_query(record, request))
            if query != record.query:
                self.record = replace(record, query=query)
                self.url_update = f"{'push' if is_pushed else 'replace'} {build_page_url(record, query)}"

    def _start_background_handler(self, event: UserEvent) -> None:
        handler = event.handler
        key = None if handler.key is None else event.arguments.get(handler.key)
        callback = getattr(self.view, handler.name)
        self.emit(
            build_job(
                self.view,
                callback,
                kwargs=event.arguments,
                name=handler.name,
                key=key,
                handler=handler.name,
                page=event.page,
            )
        )

    def handle_return_value(self, value: Any, name: str) -> None:
        """What a handler returns: nothing, or a redirect."""
        if isinstance(value, HttpResponseRedirectBase):
            self.emit(Redirect(url=validate_redirect_url(value.url, self.request or self.synthetic_request)))
        elif value is not None:
            raise TypeError(
                f"{self.record.view}.{name}() returned {type(value).__name__}; a handler returns None or a redirect. "
                "Set attributes on self, and the template shows them."
            )


def call_handler(method: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a sync or async method of the view from the thread of its turn."""
    try:
        return run_coroutine(method, *args, **kwargs) if iscoroutinefunction(method) else method(*args, **kwargs)
    except Cancelled as error:  # no Exception: it would pass by every boundary
        raise TurnError(f"{method.__qualname__}() raised Cancelled, which only a background job may do.") from error


def is_missing_view_attribute(error: BaseException) -> bool:
    """Whether code failed because a view does not have an attribute that it reads."""
    return isinstance(error, AttributeError) and isinstance(error.obj, Live)


_current: ContextVar[Turn | None] = ContextVar("current_turn", default=None)


@contextmanager
def activate_turn(turn: Turn) -> Iterator[None]:
    """For a while, the code that runs here is that of ``turn``."""
    token = _current.set(turn)
    try:
        yield
    finally:
        _current.reset(token)


def current_turn() -> Turn | None:
    """None outside of turns, in jobs too."""
    return _current.get()
