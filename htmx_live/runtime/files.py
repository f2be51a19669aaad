"""Kept files: uploads that outlive their request, until the work that needs them is done.

A file is written when it is kept, before its turn is saved: whatever fails, no saved name is without its file.

    keep() ──▶ written ──▶ its turn is saved ──▶ discard() ──▶ deleted
                  │                    └── forgotten ──▶ swept, once it is old and its view is gone
                  ├── its turn fails ──▶ deleted
                  └── its process dies ──▶ swept

The name tells when it was kept, and by which instance: a sweep asks the storage for nothing but names.

Uploads: how many files an event may bring, and how large each may be.

A request's body is read where its fields are first asked for, by Django's CSRF middleware.  So ``watch`` is called
before that, and puts a handler first that stops at the first byte too many; it only remembers why.  The endpoint then
asks ``check_uploads``, which says it to the user.

Sweeping: drop what is kept in memory and has expired, and the kept files that were not discarded.

Memory is swept every few seconds, files at most once an hour in each process that keeps any.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser
from django.template.defaultfilters import filesizeformat
from django.urls import Resolver404, resolve
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from htmx_live.core.conf import settings
from htmx_live.core.exceptions import TurnError, UploadTooLarge
from htmx_live.core.signing import random_id
from htmx_live.events.context import current_view
from htmx_live.jobs.watchdog import register_sweep
from htmx_live.runtime.inbox_messages import DeleteUpload
from htmx_live.runtime.services import services

__all__ = [
    "UPLOAD_FOLDER",
    "HourlyThrottle",
    "UploadMixin",
    "check_uploads",
    "delete_stored_upload",
    "limit_uploads",
    "sweep_expired_uploads",
    "sweep_uploads",
    "upload_savepoint",
    "upload_transaction",
]


logger = logging.getLogger("htmx_live.runtime")

UPLOAD_FOLDER = "htmx_live/kept"
_STORED_NAME = re.compile(rf"{UPLOAD_FOLDER}/([0-9a-f]{{8,12}})-([0-9a-f]{{32}})-[0-9a-f]{{32}}[\w.]*", re.ASCII)
_EXTENSION = re.compile(r"\.[a-z0-9]{1,10}")

_stored_names: ContextVar[list[str] | None] = ContextVar("kept_files", default=None)  # by the turn that runs here


class UploadMixin:
    """What a live view does with uploads."""

    _live: Any

    def store_upload(self, file: "File[Any]") -> str:
        """Store an uploaded file for a job; the name to open it by, in ``default_storage``.

        Nobody can guess the name; it ends like that of the file.  When the turn fails, the file is gone again.
        """
        names = _stored_names.get()
        if not isinstance(file, File):
            raise TurnError(
                f"store_upload() got {file!r}, and takes an uploaded file. Where none was sent, there is nothing."
            )
        if names is None or current_view.get() is not None:
            raise TurnError(
                f"{type(self).__name__}.store_upload() stores a file for the time after an event: call it in a "
                "handler, or in form_valid(). Elsewhere, in a job for example, use default_storage.save()."
            )
        wanted = _build_name(self._live.record.instance, file.name or "")
        names.append(wanted)  # first, for a storage that fails may have written half of it
        name = default_storage.save(wanted, file)
        if name != wanted:
            names.append(name)
        return name

    def delete_upload(self, name: str) -> None:
        """Delete a kept file: in a job at once, in a handler when its turn is saved.  One that is gone is fine."""
        if not _STORED_NAME.fullmatch(name):
            raise TurnError(
                f"delete_upload({name!r}): no name that store_upload() returned, and delete_upload() deletes no other."
            )
        self._live.sink.emit(DeleteUpload(name=name))


@contextmanager
def upload_savepoint() -> Iterator[list[str]]:
    """Delete what is kept in the block if the block fails; the names of what is kept."""
    outer, names = _stored_names.get(), list[str]()
    token = _stored_names.set(names)
    try:
        yield names
    except BaseException:
        for name in names:
            delete_stored_upload(name)
        raise
    finally:
        _stored_names.reset(token)
    if outer is not None:
        outer.extend(names)


def delete_stored_upload(name: str) -> None:
    """Delete one file; a storage that fails is logged, and what is left there is swept one day."""
    try:
        default_storage.delete(name)
    except Exception:  # a boundary: any storage, with errors of its own, and what asked for this has happened already
        logger.exception("The kept file %s could not be deleted", name)


def sweep_uploads(*, before: float, is_alive: Callable[[str], bool]) -> None:
    """Delete what was kept ``before`` (seconds since 1970) by instances that are no longer alive."""
    try:
        _, files = default_storage.listdir(UPLOAD_FOLDER)
    except (FileNotFoundError, NotImplementedError):  # nothing was ever kept; a storage that cannot tell
        return
    for file in files:
        name = f"{UPLOAD_FOLDER}/{file}"
        match = _STORED_NAME.fullmatch(name)
        if match and int(match[1], 16) < before and not is_alive(match[2]):
            delete_stored_upload(name)


def _build_name(instance: str, sent: str) -> str:
    extension = PurePath(sent).suffix.lower()
    ending = extension if _EXTENSION.fullmatch(extension) else ""
    return f"{UPLOAD_FOLDER}/{int(time.time()):08x}-{instance}-{random_id()}{ending}"


_DJANGO_LIMIT_ERRORS = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def limit_uploads(request: HttpRequest) -> None:
    """Have the files of an event counted and measured while they are read; other requests are left alone."""
    if request.content_type == "multipart/form-data" and not hasattr(request, "_files") and _is_event(request):
        request.upload_handlers.insert(0, _UploadLimits(request))


def check_uploads(request: HttpRequest) -> None:
    """Read an event's fields and files; ``UploadTooLarge``, or what Django says, when they are too many or too large.

    What another middleware had read before ``watch`` came is measured here.
    """
    files = [file for _name, files in request.FILES.lists() for file in files]
    for handler in request.upload_handlers:
        if isinstance(handler, _UploadLimits) and handler.error is not None:
            raise handler.error
    if len(files) > settings().MAX_UPLOADS:
        raise _too_many_files_error()
    for file in files:
        if (file.size or 0) > settings().MAX_UPLOAD_SIZE:
            raise _file_too_large_error(str(file.name))


def _is_event(request: HttpRequest) -> bool:
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return match.app_names[-1:] == ["htmx_live"] and match.url_name == "event"


def _too_many_files_error() -> UploadTooLarge:
    limit = settings().MAX_UPLOADS
    return UploadTooLarge(_("Too many files: at most %(limit)s can be sent at once.") % {"limit": limit})


def _file_too_large_error(name: str) -> UploadTooLarge:
    limit = filesizeformat(settings().MAX_UPLOAD_SIZE)
    return UploadTooLarge(_("%(name)s is too large: a file may have %(limit)s.") % {"name": name, "limit": limit})


class _UploadLimits(FileUploadHandler):
    """The first of a request's upload handlers.  ``refusal`` is why it stopped, or None.

    It parses the body itself, so that Django's own limits too are remembered and not raised in a middleware.
    """

    chunk_size = None  # type: ignore[assignment]  # the handlers that keep the bytes say it

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.error: Exception | None = None
        self._is_parsing = False
        self._file_count = 0

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: str | None = None
    ) -> Any:
        if self._is_parsing:
            return None
        self._is_parsing = True
        assert self.request is not None
        parser: Any = MultiPartParser(META, input_data, list(self.request.upload_handlers), encoding)
        try:
            return parser.parse()
        except _DJANGO_LIMIT_ERRORS as error:
            self.error = error
            # The fields before it: a form without JavaScript has its CSRF token among them.
            fields: QueryDict = parser._post
            fields._mutable = False
            return fields, MultiValueDict()

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        self._file_count += 1
        if self._file_count > settings().MAX_UPLOADS:
            self._stop(_too_many_files_error())

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > settings().MAX_UPLOAD_SIZE:
            self._stop(_file_too_large_error(str(self.file_name)))
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The others keep it."""

    def _stop(self, error: UploadTooLarge) -> None:
        self.error = error
        raise StopUpload(connection_reset=False)  # the rest is read and dropped: the browser waits for its answer


class HourlyThrottle:
    """Says yes to one caller per hour; ``now`` is in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = float("-inf")

    def allow(self, now: float) -> bool:
        with self._lock:
            if now < self._next:
                return False
            self._next = now + 3600
            return True


_sweep_throttle = HourlyThrottle()


@contextmanager
def upload_transaction() -> Iterator[None]:
    """A turn, its save included: what is kept in it stays only if nothing fails."""
    with upload_savepoint() as names:
        yield
    if names and _sweep_throttle.allow(time.monotonic()):
        services().turn_pool.submit(
            lambda: sweep_expired_uploads(time.time())
        )  # beside the turns, for a storage may be slow


def sweep_expired_uploads(now: float) -> None:
    """Delete kept files that are older than ``UPLOAD_TTL`` and whose instance has no record any more."""
    store = services().store
    sweep_uploads(before=now - settings().UPLOAD_TTL, is_alive=lambda instance: store.load(instance) is not None)


register_sweep(lambda: services().store)
register_sweep(lambda: services().bus)
