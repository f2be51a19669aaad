"""Processes: whether the processes that serve one page share its store and its messages.

In memory, every process has epochs of its own.  A page names them in its grants and in its position.  Another epoch
alone proves nothing: this process may have taken over from one that has ended.  Proof that two processes serve one
page without a shared store is an epoch whose process is alive, or an epoch that comes back.
"""

import logging
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from htmx_live.backends import siblings
from htmx_live.backends.memory.bus import MemoryBus
from htmx_live.backends.memory.store import MemoryStore
from htmx_live.core.concurrency import after_fork
from htmx_live.core.exceptions import StoreNotShared
from htmx_live.runtime.services import services

__all__ = ["announce_process", "check_epoch", "check_position", "configured_workers"]


logger = logging.getLogger("htmx_live.runtime")

_ADVICE = "Run one process, or set HTMX_LIVE['REDIS_URL'] to a Redis that all processes share."
_SERVERS = {"uvicorn", "gunicorn", "hypercorn", "granian"}
_WEB_CONCURRENCY_SERVERS = {"uvicorn", "gunicorn"}  # those that take WEB_CONCURRENCY for their default

_is_logged = False


def announce_process() -> None:
    """Say that this process serves pages; warn if there are others, and each has a memory of its own."""
    epochs = _epochs_in_memory()
    if not epochs or not siblings.register_process(*epochs):
        return
    workers = max(configured_workers(sys.argv, os.environ), siblings.count_siblings() + 1)
    if workers > 1:
        logger.warning(
            "This site runs in %d processes, and each keeps live views in its own memory: clicks, pushes and results "
            "of jobs that reach another process are lost. %s",
            workers,
            _ADVICE,
        )


def check_epoch(epoch: str, *, earlier: Iterable[str] = ()) -> None:
    """Raise ``StoreNotShared`` if an instance of ``epoch`` lives in another process; ``earlier`` are its past ones."""
    store = services().store
    is_foreign = isinstance(store, MemoryStore) and epoch != store.epoch
    if is_foreign and (store.epoch in earlier or siblings.is_alive(epoch)):
        _raise_store_not_shared()


def check_position(position: str) -> None:
    """Raise ``StoreNotShared`` if the page with this position reads the messages of another process."""
    epoch, bus = position.rpartition(".")[0], services().bus
    if isinstance(bus, MemoryBus) and epoch not in ("", bus.epoch) and siblings.is_alive(epoch):
        _raise_store_not_shared()


def configured_workers(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return how many processes the command line or the environment asks of the server, 1 if they do not say."""
    program = Path(argv[0]) if argv else Path()
    name = program.parent.name if program.name == "__main__.py" else program.name
    arguments = list(argv[1:]) if name in _SERVERS else []
    if name == "gunicorn":  # the command line wins
        arguments = [*shlex.split(environ.get("GUNICORN_CMD_ARGS", "")), *arguments]
    default = environ.get("WEB_CONCURRENCY", "") if name in _WEB_CONCURRENCY_SERVERS else ""
    chosen = _workers_option(arguments) or default
    return int(chosen) if chosen.isdecimal() else 1


def _workers_option(arguments: Sequence[str]) -> str:
    """Return the last value of ``--workers`` or ``-w``."""
    found = ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument in ("--workers", "-w"):
            found = following
        elif argument.startswith("--workers="):
            found = argument.partition("=")[2]
        elif argument.startswith("-w") and argument[2:].isdecimal():
            found = argument[2:]
    return found


def _epochs_in_memory() -> list[str]:
    store, bus = services().store, services().bus
    return [part.epoch for part in (store, bus) if isinstance(part, MemoryStore | MemoryBus)]


def _raise_store_not_shared() -> None:
    """Log it once: every request of every open page would say the same."""
    global _is_logged
    if not _is_logged:
        _is_logged = True
        logger.error(
            "A page of another process asked this one, and they share no store: clicks, pushes and results of jobs "
            "are lost. %s",
            _ADVICE,
        )
    raise StoreNotShared("The page lives in the memory of another process.")


@after_fork
def _reset_after_fork() -> None:
    global _is_logged
    _is_logged = False
