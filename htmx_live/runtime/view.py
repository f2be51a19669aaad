"""``Live``: a view's state, the events that it receives and the effects that it asks for; no HTTP.

What a subclass assigns on ``self`` is its state.  Everything that the library keeps about a turn is in one slot,
``self._live``, so that all other names are the user's.

The outlet: where a view's wishes go, and the text streams that it sees there.

``KnowsJobs``: what a live view can tell of its own background work.

Callbacks: how background work is named, so that another process can find it.

A callback is a method of the view or a function at module level, and its arguments are values that a record can keep.
A callback that works on a thread of this process therefore works in a worker.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.shortcuts import resolve_url

from htmx_live.core.exceptions import StateError, TurnError
from htmx_live.core.records import JobRow, Record
from htmx_live.core.signing import random_id
from htmx_live.core.text import validate_redirect_url
from htmx_live.events.handlers import Handler, collect_handlers
from htmx_live.runtime.files import UploadMixin
from htmx_live.runtime.inbox_messages import (
    AppendText,
    BroadcastPush,
    CancelJobs,
    ClearText,
    Effect,
    Redirect,
    ResetForms,
    ShowToast,
    StartJob,
)
from htmx_live.runtime.state import encode, names_set_by_mount

__all__ = [
    "EffectSink",
    "JobStatusMixin",
    "Live",
    "TextStreams",
    "ViewContext",
    "build_job",
    "check_method",
    "find_callback",
    "import_view",
    "view_path",
]


class EffectSink(Protocol):
    """Where a view's wishes go: into the turn's list, or from a job into turns of their own."""

    def emit(self, effect: Effect) -> None: ...

    def flush(self) -> None: ...

    def get_text(self, stream: str) -> str | None: ...

    @property
    def is_cancelled(self) -> bool: ...

    def check_cancelled(self) -> None: ...


class TextStreams:
    """The text streams of one view."""

    def __init__(self, sink: EffectSink) -> None:
        self._sink = sink

    def __contains__(self, name: str) -> bool:
        return self._sink.get_text(name) is not None

    def __getitem__(self, name: str) -> str:
        text = self._sink.get_text(name)
        if text is None:
            raise KeyError(name)
        return text

    def get(self, name: str, default: str = "") -> str:
        text = self._sink.get_text(name)
        return default if text is None else text

    def pop(self, name: str, default: str = "") -> str:
        """End the stream; its text so far."""
        text = self.get(name, default)
        self._sink.emit(ClearText(stream=name))
        return text


class JobStatusMixin:
    """A part of ``Live``."""

    _live: Any

    def is_waiting(self, name: str = "", key: Any = None) -> bool:
        """Whether a job waits for a worker, or is done again because its worker died.

        Jobs are meant as by ``cancel_async``: ``name`` is theirs or their handler's, "" any; ``key`` narrows it.
        """
        rows = [row for row in self._live.record.jobs if row.stage in ("waiting", "retrying")]
        return any(
            (not name or name in (row.name, row.handler)) and (key is None or str(key) == row.key) for row in rows
        )


def build_job(
    view: object,
    callback: Callable[..., Any],
    *,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any],
    name: str | None = None,
    key: Any = None,
    retries: int = 0,
    handler: str = "",
    page: str = "",
    notify: bool | str = False,
) -> StartJob:
    """The effect that starts ``callback``; see ``Live.start_async``.

    ``starter`` is the handler that asks for it, "" outside of handlers; ``page`` the page whose event it is.  With
    ``notify`` its end is told in a notice, under this name or the callback's.
    """
    path, label = _identify_callback(view, callback)
    ref = random_id()
    row = JobRow(
        ref=ref,
        handler=handler or label,
        name=name or f"{label}-{ref[:8]}",
        key="" if key is None else str(key),
        page=page,
        notify=label.strip("_").replace("_", " ").capitalize() if notify is True else str(notify or ""),
    )
    return StartJob(
        row=row,
        callback=path,
        args=[encode(value, f"argument {number} of {label}()") for number, value in enumerate(args, 1)],
        kwargs={word: encode(value, f"argument {word} of {label}()") for word, value in kwargs.items()},
        is_async=iscoroutinefunction(callback),
        retries=retries,
    )


def _identify_callback(view: object, callback: Callable[..., Any]) -> tuple[str, str]:
    """``method:name`` or ``module:qualified.name`` of a callback, and its plain name."""
    name, owner = getattr(callback, "__name__", ""), getattr(callback, "__self__", None)
    if owner is view and getattr(type(view), name, None) is not None:
        return f"method:{name}", name
    path = f"{getattr(callback, '__module__', '')}:{getattr(callback, '__qualname__', '')}"
    is_bound = owner is not None and not isinstance(owner, ModuleType)  # a function written in C has its module
    if "<" in path or not name or is_bound:
        raise TurnError(
            f"start_async() got {callback!r}. A background callback is a method of the view or a function at module "
            "level: a lambda or a local function cannot be found by another process. Move it, and pass what it needs "
            "as arguments."
        )
    return path, name


def find_callback(view: object, path: str) -> Callable[..., Any]:
    """The callback that a job of our own names."""
    where, _, name = path.partition(":")
    if where == "method":
        found: Any = getattr(view, name)
    else:
        found = import_module(where)
        for part in name.split("."):
            found = getattr(found, part)
    assert callable(found)
    return found  # type: ignore[no-any-return]


_STREAM_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(slots=True, kw_only=True)
class ViewContext:
    """What the library knows of a view during one turn or job.

    ``starter`` is the handler that runs (``mount`` in ``mount()``); ``page`` the page whose event it is, or "".
    ``assigned`` are the attributes that were set, to whatever value.
    """

    record: Record
    kwargs: dict[str, Any]
    request: HttpRequest | None
    sink: EffectSink
    handler: str = ""
    page: str = ""
    assigned: set[str] = field(default_factory=set)


class Live(UploadMixin, JobStatusMixin):
    """Base of live views; see ``LiveView``."""

    template_name: str = ""
    root_tag: str = "div"
    scope: Literal["client", "shared"] = "client"
    url_state: tuple[str, ...] = ()  # attributes that stand in the query string; each change replaces the address
    url_push: tuple[str, ...] = ()  # those of them whose change is a step that "back" undoes
    tick_interval: int | None = None  # milliseconds
    login_required: bool = False
    permission_required: str | tuple[str, ...] = ()

    handlers: ClassVar[Mapping[str, Handler]] = {}
    _reserved_names: ClassVar[frozenset[str]] = frozenset()
    _class_defaults: ClassVar[Mapping[str, Any]] = {}
    _mount_names: ClassVar[frozenset[str]] = frozenset()
    _live: ViewContext

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _SYNC_METHODS:
            if iscoroutinefunction(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__name__}.{name}() is async: expected a plain def, because its result is used at once. "
                    "Await in an async handler or in mount() instead, and keep the result in an attribute."
                )
        cls.handlers = collect_handlers(cls)
        cls._reserved_names = frozenset(_find_reserved_names(cls))
        cls._class_defaults = dict(_find_class_defaults(cls))
        cls._mount_names = names_set_by_mount(cls)

    def __init__(self, context: ViewContext) -> None:
        self.__dict__["_live"] = context

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self)._reserved_names:
            raise StateError(
                f"{type(self).__name__}.{name} is {_RESERVED_NAMES.get(name, 'a method of the view')}, not to be "
                f"assigned. Choose another name for your state, {name}_ for example."
            )
        self._live.assigned.add(name)
        object.__setattr__(self, name, value)

    # What a view reads

    @property
    def kwargs(self) -> dict[str, Any]:
        """What the view was mounted with."""
        return self._live.kwargs

    @property
    def request(self) -> HttpRequest:
        """The user's request while ``mount`` or a user's event runs; otherwise a stand-in: a GET of the page
        without session and messages.  A shared view has one only in a user's event."""
        if self._live.request is None:
            raise TurnError(
                f"{type(self).__name__} is a shared view: outside of a user's event it has no request and no user, for "
                "what it shows is everybody's. Keep what differs from user to user out of it."
            )
        return self._live.request

    @property
    def user(self) -> Any:
        """The user whose view this is, as ``request.user``; read from the database when first used."""
        return self.request.user

    @property
    def streams(self) -> TextStreams:
        """The text streams of this view by name: ``self.streams["log"]``; ``.pop("log")`` ends one."""
        return TextStreams(self._live.sink)

    @property
    def cancelled(self) -> bool:
        """In a job: whether it was cancelled or replaced, or its time limit is over, so that it should end."""
        return self._live.sink.is_cancelled

    # What a view overrides

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Set the first state; runs once per instance.  May start jobs."""

    @classmethod
    def share_key(cls, **kwargs: Any) -> Any:
        """Shared views mounted with kwargs that give an equal key are one; by default the kwargs themselves."""
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Further variables for the template; computed for each render and not kept."""
        return kwargs

    def has_permission(self) -> bool:
        """Whether the present user may use this view: asked at mount, for every event, job and stream.

        Reads ``self.user`` and ``self.kwargs`` only; the state is not there yet.
        """
        if not (self.login_required or self.permission_required):
            return True
        if not self.user.is_authenticated:
            return False
        wanted = self.permission_required
        return bool(self.user.has_perms((wanted,) if isinstance(wanted, str) else tuple(wanted)))

    # What a view asks for

    def start_async(
        self,
        callback: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        key: Any = None,
        retries: int = 0,
        notify: bool | str = False,
        **kwargs: Any,
    ) -> None:
        """Run ``callback`` in the background once this turn's result is out.

        ``callback`` is a method of the view or an importable function, its arguments are values that a record could
        keep.  A job of the same explicit ``name`` and ``key`` that runs is replaced.  ``retries``: how often it may
        be run again after its process died.  ``notify``: tell the user how it ends, under this name or its own.
        """
        self._live.sink.emit(
            build_job(
                self,
                callback,
                args=args,
                kwargs=kwargs,
                name=name,
                key=key,
                retries=retries,
                notify=notify,
                handler=self._live.handler,
                page=self._live.page,
            )
        )

    def cancel_async(self, name: str, key: Any = None) -> None:
        """Cancel the jobs of this name, and those that the handler of this name started; without any, do nothing."""
        self._live.sink.emit(CancelJobs(name=name, key=None if key is None else str(key)))

    def check_cancelled(self) -> None:
        """In a job: raise ``Cancelled`` when it was cancelled or replaced, ``JobTimeout`` when its time is over."""
        self._live.sink.check_cancelled()

    def flush(self) -> None:
        """In a job: merge and show what is set so far.  Raises like ``check_cancelled()``."""
        self._live.sink.flush()

    async def aflush(self) -> None:
        """See ``flush()``."""
        await sync_to_async(self.flush, thread_sensitive=False)()

    def stream_text(self, stream: str, text: str, mode: Literal["append", "replace"] = "append") -> None:
        """Write to a text stream, shown by ``{% stream "name" %}``; from a job it appears while the job runs."""
        if mode not in ("append", "replace"):
            raise TurnError(f"stream_text(mode={mode!r}): expected 'append' or 'replace'.")
        if not _STREAM_NAME.fullmatch(stream):
            raise TurnError(f"stream_text({stream!r}): the name of a stream consists of letters, digits, - and _.")
        self._live.sink.emit(AppendText(stream=stream, text=str(text), replace=mode == "replace"))

    async def astream_text(self, stream: str, text: str, mode: Literal["append", "replace"] = "append") -> None:
        """See ``stream_text()``."""
        await sync_to_async(self.stream_text, thread_sensitive=False)(stream, text, mode)

    def redirect(self, to: Any, *args: Any, **kwargs: Any) -> None:
        """Send the user to ``to``, as Django's shortcut takes it; another host must be in ``REDIRECT_HOSTS``."""
        self._live.sink.emit(Redirect(url=validate_redirect_url(resolve_url(to, *args, **kwargs), self.request)))

    def broadcast(self, handler: str, payload: dict[str, Any] | None = None) -> None:
        """Call a method of the other instances of this view that were mounted with the same kwargs."""
        record = self._live.record
        given = {word: encode(value, f"payload[{word!r}]") for word, value in (payload or {}).items()}
        check_method(type(self), handler)
        self._live.sink.emit(
            BroadcastPush(
                view=record.view, handler=handler, payload=given, kwargs=record.kwargs, without=record.instance
            )
        )

    def notify(self, message: Any, level: str = "info") -> None:
        """Show a toast on the page; ``level`` is one of Django's message tags."""
        self._live.sink.emit(ShowToast(message=str(message), level=level))

    def reset_forms(self) -> None:
        """Let this turn's answer overwrite what the user has typed."""
        self._live.sink.emit(ResetForms())

    def skip_render(self) -> None:
        """Keep the state of this turn but send nothing."""
        self._skip_render = True


def view_path(cls: type[Live]) -> str:
    """The dotted path by which ``import_view`` finds the class again."""
    return f"{cls.__module__}.{cls.__qualname__}"


def check_method(cls: type[Live], name: str) -> None:
    """Raise ``TurnError`` unless our own code may call this method of the view by name."""
    if callable(getattr(cls, name, None)) and not name.startswith("__"):
        return
    own = sorted(word for word in dir(cls) if not word.startswith("__") and callable(getattr(cls, word)))
    close = get_close_matches(name, own, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(set(own) - set(dir(Live))) or 'none'}."
    raise TurnError(f"{cls.__name__} has no method {name!r}. {hint}")


@lru_cache(maxsize=1024)
def import_view(path: str) -> type[Live]:
    """The live view at a dotted path that we signed or stored ourselves; ``ImportError`` when there is none."""
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if error.name and not ".".join(parts[:cut]).startswith(error.name):
                raise  # the module is there, and what it imports is not
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        if isinstance(found, type) and issubclass(found, Live):
            return found
        break
    raise ImportError(f"{path!r} is not a live view. Give the dotted path of a LiveView subclass at module level.")


_SYNC_METHODS = ("get_context_data", "has_permission", "share_key")  # a coroutine would pass for a true answer

# Names that the library gives a view, and what to say when one is assigned.
_RESERVED_NAMES = {
    "kwargs": "what the view was mounted with",
    "request": "the current request",
    "user": "the view's user",
    "streams": "the view's text streams",
    "cancelled": "whether the running job was cancelled",
    "handlers": "the table of the view's handlers",
    "_live": "the library's own slot",
}


def _find_reserved_names(cls: type[Live]) -> Iterator[str]:
    yield from _RESERVED_NAMES
    for name in dir(cls):
        if not name.startswith("_") and callable(getattr(cls, name)):
            yield name


def _find_class_defaults(cls: type[Live]) -> Iterator[tuple[str, Any]]:
    for base in reversed(cls.__mro__):
        if base is not Live and issubclass(base, Live):
            for name, value in vars(base).items():
                if not name.startswith("_") and not callable(value) and not hasattr(value, "__get__"):
                    yield name, value


class AsyncWorkMixin:
    """Empty: every live view has ``start_async``.  It lets a class line from elsewhere work as it stands."""


class StreamingMixin:
    """Empty: every live view has ``stream_text``.  It lets a class line from elsewhere work as it stands."""
