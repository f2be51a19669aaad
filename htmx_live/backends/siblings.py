"""Siblings: other processes of this machine that serve the same project, each from its own memory.

Each of them holds a lock on an empty file in the temporary folder.  The file's name contains the pid of the process's
parent and the epochs of its store and bus.  The operating system releases the lock when the process ends, also after
a SIGKILL, so a locked file proves that its process is alive.

Where files cannot be locked (Windows, a temporary folder that is read-only or belongs to another user), no sibling is
found.
"""

import atexit
import logging
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

from django.utils.crypto import salted_hmac

from htmx_live.core.concurrency import after_fork
from htmx_live.core.conf import project_setting

__all__ = ["count_siblings", "is_alive", "register_process", "unregister_process"]


if sys.platform != "win32":
    import fcntl


logger = logging.getLogger("htmx_live.backends")

_lock = threading.Lock()
_lock_file: tuple[int, Path] | None = None  # the descriptor that holds the lock, and its file
_is_registered = False


def register_process(*epochs: str) -> bool:
    """Show other processes that this one serves pages of these epochs; False if it has done so before."""
    global _lock_file, _is_registered
    with _lock:
        if _is_registered:
            return False
        _is_registered = True
        try:
            _lock_file = _create_locked_file("-".join((_project_digest(), str(os.getppid()), *epochs)))
        except OSError as error:
            logger.debug("Other processes cannot find this one: %s", error)
    return True


@atexit.register
def unregister_process() -> None:
    """Show that this process is about to end.  The next one may then take over its pages."""
    global _lock_file
    held, _lock_file = _lock_file, None
    if held is not None:
        with suppress(OSError):
            held[1].unlink()
        os.close(held[0])


def is_alive(epoch: str) -> bool:
    """Return whether another process is alive that serves pages of ``epoch``."""
    return any(epoch in epochs for _, epochs in _living_siblings())


def count_siblings() -> int:
    """Return how many other processes the parent of this one runs: the other workers of its server."""
    return sum(parent == str(os.getppid()) for parent, _ in _living_siblings())


def _living_siblings() -> Iterator[tuple[str, list[str]]]:
    """Yield the parent's pid and the epochs of every other process of the project that is alive."""
    try:
        files = list(_lock_folder().glob("[!.]*"))
    except OSError:
        return
    for file in files:
        if (_lock_file is None or file != _lock_file[1]) and _is_locked(
            file
        ):  # which removes stale files of any project
            project, parent, *epochs = file.name.split("-")
            if project == _project_digest():
                yield parent, epochs


if sys.platform == "win32":

    def _create_locked_file(name: str) -> tuple[int, Path]:
        raise OSError("Windows has no flock().")

    def _is_locked(file: Path) -> bool:
        return False

    def _lock_folder() -> Path:
        raise OSError("Windows has no flock().")

else:

    def _create_locked_file(name: str) -> tuple[int, Path]:
        """Create the file and lock it; it gets its name when it is locked, so that nobody takes it for a stale one."""
        folder = _lock_folder()
        hidden = folder / f".{name}"
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor, hidden.rename(folder / name)
        except OSError:
            os.close(descriptor)
            raise

    def _is_locked(file: Path) -> bool:
        """Return whether the file's process is alive; remove the file if it is not."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            # A shared lock: two threads that look at a stale file at once must not see each other's lock.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            file.unlink(missing_ok=True)  # its name holds random epochs, so no later process has it
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def _lock_folder() -> Path:
        """Return the folder of the files, which belongs to this user alone."""
        folder = Path(gettempdir()) / f"htmx_live-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(f"{folder} is not a folder that only this user can write to.")
        return folder


def _project_digest() -> str:
    """Return a word for the project: two projects of one user must not find each other's processes."""
    return salted_hmac("htmx_live.backends.siblings", str(project_setting("BASE_DIR")), algorithm="sha256").hexdigest()[
        :16
    ]


@after_fork
def _reset_after_fork() -> None:
    """Close the parent's file: a child that outlives its parent must not keep the lock."""
    global _lock, _lock_file, _is_registered
    if _lock_file is not None:
        os.close(_lock_file[0])
    _lock, _lock_file, _is_registered = threading.Lock(), None, False
