"""Uploads: how many files an event may bring, and how large each may be.

A request's body is read where its fields are first asked for, by Django's CSRF middleware.  So ``watch`` is called
before that, and puts a handler first that stops at the first byte too many; it only remembers why.  The endpoint then
asks ``check_uploads``, which says it to the user.
"""

from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParser
from django.template.defaultfilters import filesizeformat
from django.urls import Resolver404, resolve
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from htmx_live.conf import settings
from htmx_live.exceptions import UploadTooLarge

__all__ = ["check_uploads", "watch"]

_TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


def watch(request: HttpRequest) -> None:
    """Have the files of an event counted and measured while they are read; other requests are left alone."""
    if request.content_type == "multipart/form-data" and not hasattr(request, "_files") and _is_event(request):
        request.upload_handlers.insert(0, _Limits(request))


def check_uploads(request: HttpRequest) -> None:
    """Read an event's fields and files; ``UploadTooLarge``, or what Django says, when they are too many or too large.

    What another middleware had read before ``watch`` came is measured here.
    """
    files = [file for _name, files in request.FILES.lists() for file in files]
    for handler in request.upload_handlers:
        if isinstance(handler, _Limits) and handler.refusal is not None:
            raise handler.refusal
    if len(files) > settings().MAX_UPLOADS:
        raise _too_many()
    for file in files:
        if (file.size or 0) > settings().MAX_UPLOAD_SIZE:
            raise _too_large(str(file.name))


def _is_event(request: HttpRequest) -> bool:
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return match.app_names[-1:] == ["htmx_live"] and match.url_name == "event"


def _too_many() -> UploadTooLarge:
    limit = settings().MAX_UPLOADS
    return UploadTooLarge(_("Too many files: at most %(limit)s can be sent at once.") % {"limit": limit})


def _too_large(name: str) -> UploadTooLarge:
    limit = filesizeformat(settings().MAX_UPLOAD_SIZE)
    return UploadTooLarge(_("%(name)s is too large: a file may have %(limit)s.") % {"name": name, "limit": limit})


class _Limits(FileUploadHandler):
    """The first of a request's upload handlers.  ``refusal`` is why it stopped, or None.

    It parses the body itself, so that Django's own limits too are remembered and not raised in a middleware.
    """

    chunk_size = None  # type: ignore[assignment]  # the handlers that keep the bytes say it

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.refusal: Exception | None = None
        self._is_parsing = False
        self._count = 0

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
        except _TOO_MUCH as error:
            self.refusal = error
            # The fields before it: a form without JavaScript has its CSRF token among them.
            fields: QueryDict = parser._post
            fields._mutable = False
            return fields, MultiValueDict()

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        self._count += 1
        if self._count > settings().MAX_UPLOADS:
            self._stop(_too_many())

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > settings().MAX_UPLOAD_SIZE:
            self._stop(_too_large(str(self.file_name)))
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The others keep it."""

    def _stop(self, refusal: UploadTooLarge) -> None:
        self.refusal = refusal
        raise StopUpload(connection_reset=False)  # the rest is read and dropped: the browser waits for its answer
