"""Kept files: uploads that outlive their request, until the work that needs them is done.

A file is written when it is kept, before its turn is saved: whatever fails, no saved name is without its file.

    keep() ──▶ written ──▶ its turn is saved ──▶ discard() ──▶ deleted
                  │                    └── forgotten ──▶ swept, once it is old and its view is gone
                  ├── its turn fails ──▶ deleted
                  └── its process dies ──▶ swept

The name tells when it was kept, and by which instance: a sweep asks the storage for nothing but names.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage

from htmx_live.events import DiscardFile
from htmx_live.exceptions import TurnError
from htmx_live.grants import random_id
from htmx_live.rendering import current_rendering

__all__ = ["FOLDER", "KeepsFiles", "delete_file", "sweep", "undone_on_failure"]

logger = logging.getLogger("htmx_live.uploads")

FOLDER = "htmx_live/kept"
_NAME = re.compile(rf"{FOLDER}/([0-9a-f]{{8,12}})-([0-9a-f]{{32}})-[0-9a-f]{{32}}[\w.]*", re.ASCII)
_EXTENSION = re.compile(r"\.[a-z0-9]{1,10}")

_kept: ContextVar[list[str] | None] = ContextVar("kept_files", default=None)  # by the turn that runs here


class KeepsFiles:
    """What a live view does with uploads."""

    _live: Any

    def keep(self, file: "File[Any]") -> str:
        """Store an uploaded file for a job; the name to open it by, in ``default_storage``.

        Nobody can guess the name; it ends like that of the file.  When the turn fails, the file is gone again.
        """
        names = _kept.get()
        if not isinstance(file, File):
            raise TurnError(f"keep() got {file!r}, and takes an uploaded file. Where none was sent, there is nothing.")
        if names is None or current_rendering.get() is not None:
            raise TurnError(
                f"{type(self).__name__}.keep() stores a file for the time after an event: call it in a handler, or in "
                "form_valid(). Elsewhere, in a job for example, use default_storage.save()."
            )
        wanted = _name(self._live.record.instance, file.name or "")
        names.append(wanted)  # first, for a storage that fails may have written half of it
        name = default_storage.save(wanted, file)
        if name != wanted:
            names.append(name)
        return name

    def discard(self, name: str) -> None:
        """Delete a kept file: in a job at once, in a handler when its turn is saved.  One that is gone is fine."""
        if not _NAME.fullmatch(name):
            raise TurnError(f"discard({name!r}): that is no name that keep() returned, and discard() deletes no other.")
        self._live.outlet.ask(DiscardFile(name=name))


@contextmanager
def undone_on_failure() -> Iterator[list[str]]:
    """Delete what is kept in the block if the block fails; the names of what is kept."""
    outer, names = _kept.get(), list[str]()
    token = _kept.set(names)
    try:
        yield names
    except BaseException:
        for name in names:
            delete_file(name)
        raise
    finally:
        _kept.reset(token)
    if outer is not None:
        outer.extend(names)


def delete_file(name: str) -> None:
    """Delete one file; a storage that fails is logged, and what is left there is swept one day."""
    try:
        default_storage.delete(name)
    except Exception:  # a boundary: any storage, with errors of its own, and what asked for this has happened already
        logger.exception("The kept file %s could not be deleted", name)


def sweep(*, before: float, is_alive: Callable[[str], bool]) -> None:
    """Delete what was kept ``before`` (seconds since 1970) by instances that are no longer alive."""
    try:
        _, files = default_storage.listdir(FOLDER)
    except (FileNotFoundError, NotImplementedError):  # nothing was ever kept; a storage that cannot tell
        return
    for file in files:
        name = f"{FOLDER}/{file}"
        match = _NAME.fullmatch(name)
        if match and int(match[1], 16) < before and not is_alive(match[2]):
            delete_file(name)


def _name(instance: str, sent: str) -> str:
    extension = PurePath(sent).suffix.lower()
    ending = extension if _EXTENSION.fullmatch(extension) else ""
    return f"{FOLDER}/{int(time.time()):08x}-{instance}-{random_id()}{ending}"
