"""The runner port: where background jobs run.

A runner knows jobs, not views.  It is given ``perform`` when built, calls it once per submitted job on a thread,
process or loop of its own, and passes on what a cancel means there.

Jobs as text for a broker: signed JSON, for whoever can write there could otherwise name any callback.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from django.core import signing

__all__ = ["Executor", "Job", "Runner", "UnreadableJob", "deserialize_job", "serialize_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of background work; every field is JSON, so that it crosses processes.

    ``ref`` identifies this start of it; ``instance`` is the record's id.  ``callback`` is ``method:name`` of the
    view, or ``module:qualified.name`` of a function.  ``args`` and ``kwargs`` are encoded by the state codec.
    ``kind`` is "" for the work of a live view; others are performed by whom ``give_performer`` names.
    """

    ref: str
    instance: str
    callback: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    is_async: bool = False
    retries: int = 0  # how often it may be started anew when it dies
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The two ways to run a job to its end; they differ in ``await`` only.  A job's own failure is not raised."""

    run: Callable[[Job], None]
    arun: Callable[[Job], Awaitable[None]]


class Runner(Protocol):
    """Where jobs run."""

    def submit(self, job: Job) -> None:
        """Take the job, or raise ``RunnerUnavailable`` within 2 s; never waits for it.

        One that waits may be submitted again: whoever performs it twice finds that it has begun.
        """

    def cancel(self, ref: str) -> None:
        """Tell the job, wherever it runs; harmless when it does not run.  It may go on: its writes are dropped."""

    def is_cancelled(self, ref: str) -> bool:
        """Whether ``cancel(ref)`` was called in this process while the job was known here."""

    def shutdown(self) -> Mapping[str, Job]:
        """Stop taking jobs and return those that will not end here."""


_SALT = "htmx_live.job"


class UnreadableJob(ValueError):
    """A message from a broker is no job of this site."""


def serialize_job(job: Job) -> str:
    return signing.dumps(asdict(job), salt=_SALT, compress=True)


def deserialize_job(text: str) -> Job:
    """The job in ``text``; ``JobUnreadable`` when it is forged, or of another version or ``SECRET_KEY``."""
    try:
        return Job(**signing.loads(text, salt=_SALT))
    except (signing.BadSignature, UnicodeError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableJob(
            f"A message that names a job cannot be read: {error}. Web processes and workers need the same SECRET_KEY "
            "and the same version of htmx_live."
        ) from error
