"""Errors of the package, as one tree.

    HtmxLiveError
    ├── StateError          a value that cannot be kept in a record, or a name that cannot be assigned
    │   └── StateTooLarge   the state is larger than MAX_RECORD_SIZE
    ├── UnknownHandler      an event names a method that the view does not offer
    ├── ArgumentError       an event's arguments do not fit the handler
    │   └── MalformedArguments      they are no JSON object or array, or are nested too deeply
    │       └── ArgumentsTooLarge   they are larger than MAX_ARGUMENT_SIZE
    ├── FormTooLarge        the fields of a form are more than its record may keep
    ├── GrantError          a signed grant is missing, forged or expired
    ├── InstanceGone        no such instance, or not yours
    ├── InstanceExpired     an instance that cannot be brought back
    │   └── StoreNotShared      it lives in the memory of another process
    ├── Busy                another turn of the instance took too long
    ├── TooManyWaiting      as many events as allowed wait for a turn of the instance already
    ├── TurnError           the code of a view asked for what a turn cannot do
    │   └── RefusedValue            it passed on a value that is not allowed, which most often is a user's
    ├── StoreUnavailable    the store did not answer
    ├── RunnerUnavailable   a job could not be handed to the runner
    └── UserError           raised by a view's own code: its text is shown to the user
        └── UploadTooLarge      files are more or larger than MAX_UPLOADS and MAX_UPLOAD_SIZE allow

    Cancelled (BaseException)   raised inside a job that was cancelled

Each keeps its facts as attributes.  Developers read the text in the log; a browser gets ``status`` and no names.
"""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

__all__ = [
    "ArgumentError",
    "ArgumentsTooLarge",
    "Busy",
    "Cancelled",
    "FormTooLarge",
    "GrantError",
    "HtmxLiveError",
    "InstanceExpired",
    "InstanceGone",
    "MalformedArguments",
    "RefusedValue",
    "RunnerUnavailable",
    "StateError",
    "StateTooLarge",
    "StoreNotShared",
    "StoreUnavailable",
    "TooManyWaiting",
    "TurnError",
    "UnknownHandler",
    "UploadTooLarge",
    "UserError",
]


class HtmxLiveError(Exception):
    """Root of the package's errors; ``status`` is the HTTP status that answers it."""

    status: ClassVar[int] = 500


class StateError(HtmxLiveError):
    """A value that a record cannot keep, or an attribute that a view must not assign."""


class StateTooLarge(StateError):
    """What a view holds is larger than ``MAX_RECORD_SIZE``; most often its user sent too much."""

    status = 413


class UnknownHandler(HtmxLiveError):
    """An event named a method that the view does not offer."""

    status = 404

    def __init__(self, view: str, name: str, offered: Iterable[str]) -> None:
        self.view, self.name, self.offered = view, name, sorted(offered)
        close = get_close_matches(name, self.offered, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It offers: {', '.join(self.offered) or 'none'}."
        super().__init__(
            f"{view} offers no handler {name!r}. {hint} Decorate the method with @event_handler to offer it."
        )


class ArgumentError(HtmxLiveError):
    """An event's arguments do not fit its handler; ``parameter`` is the name of the one that does not."""

    status = 422

    def __init__(self, handler: str, parameter: str, reason: str) -> None:
        self.handler, self.parameter, self.reason = handler, parameter, reason
        super().__init__(f"{handler}(): {parameter}: {reason}")


class MalformedArguments(ArgumentError):
    """An event's ``_args`` are no JSON object or array within the limits of depth and digits."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__("event", "_args", reason)


class ArgumentsTooLarge(MalformedArguments):
    """An event's ``_args`` are larger than ``MAX_ARGUMENT_SIZE``."""

    status = 413


class FormTooLarge(HtmxLiveError):
    """The fields of a form that is being filled in are more than its record may keep; sizes are in characters."""

    status = 413

    def __init__(self, view: str, size: int, limit: int) -> None:
        self.view, self.size, self.limit = view, size, limit
        super().__init__(
            f"With the fields of its form, the state of {view} is {size} characters long; HTMX_LIVE['MAX_RECORD_SIZE'] "
            f"allows {limit}. Raise it for forms with long texts."
        )


class GrantError(HtmxLiveError):
    """A signed grant is missing, forged or expired; ``expired`` tells the last from the others."""

    status = 404

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        self.expired = expired
        super().__init__(reason)


class InstanceGone(HtmxLiveError):
    """There is no such instance, or it is somebody else's; a browser cannot tell which."""

    status = 404


class InstanceExpired(HtmxLiveError):
    """The instance is gone and cannot be mounted again, because the code of its view is gone, too."""

    status = 410


class StoreNotShared(InstanceExpired):
    """Processes serve the same page, and each has its own store in memory."""


class Busy(HtmxLiveError):
    """The instance was busy with another turn for longer than ``BUSY_TIMEOUT``."""

    status = 409


class TooManyWaiting(HtmxLiveError):
    """An event found ``waiting`` others, as many as are allowed, that wait for a turn of its instance."""

    status = 429

    def __init__(self, instance: str, waiting: int) -> None:
        self.instance, self.waiting = instance, waiting
        super().__init__(
            f"{waiting} events already wait for instance {instance}, which is what HTMX_LIVE['MAX_WAITING_EVENTS'] "
            "allows. Move slow work of its handlers into jobs."
        )


class TurnError(HtmxLiveError):
    """The code of a view did what a turn cannot do; the text names the alternative."""


class RefusedValue(TurnError, ValueError):
    """The code of a view passed on a value that is not allowed, such as the address of another site.

    Such a value most often comes from a user, so in an event this is a 422 and one line in the log.  The text does not
    contain the value.  ``source`` names the view and its handler, where they are known.
    """

    status = 422
    source = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.args[0]}" if self.source else str(self.args[0])


class StoreUnavailable(HtmxLiveError):
    """The store did not answer in time.  ``outage`` counts what fails, where the log says already that it is away."""

    status = 503

    def __init__(self, reason: str, *, outage: object = None) -> None:
        self.outage = outage
        super().__init__(reason)


class RunnerUnavailable(HtmxLiveError):
    """A job could not be handed to the runner: its queue is full, or its broker is away."""

    status = 503


class UserError(HtmxLiveError):
    """Raise it in a handler or a job with a text that the user may read."""

    status = 422


class UploadTooLarge(UserError):
    """An event brought more files, or a larger one, than the settings allow; the text is for the user."""

    status = 413


class Cancelled(BaseException):
    """Raised inside a job that was cancelled or replaced.

    A ``BaseException``, so that ``except Exception`` in a callback does not swallow it.
    """


class JobTimeout(BaseException):
    """Raised inside a job that takes longer than ``JOB_TIME_LIMIT``, at its next call of the view's methods.

    Those are ``check_cancelled()``, ``flush()`` and ``stream_text()``; an async callback is cancelled at its ``await``.
    """

    def __init__(self, callback: str, limit: float) -> None:
        self.callback, self.limit = callback, limit
        super().__init__(
            f"{callback} took longer than {limit} s, which is HTMX_LIVE['JOB_TIME_LIMIT']. "
            "Raise it, or do the work in smaller jobs."
        )


def log_failure(logger: logging.Logger, error: BaseException, text: str, *args: object) -> None:
    """Log a failure of the project's code in the background: with the traceback, or an expected one in one line."""
    if isinstance(error, UserError):  # an answer to the user, who may have written part of it
        logger.info(f"{text}: %s", *args, escape_unprintable(str(error)))
    elif isinstance(error, RefusedValue):
        logger.warning(f"{text}: %s", *args, error)
    else:
        logger.error(text, *args, exc_info=error)


def escape_unprintable(text: str) -> str:
    """``text`` for a log: what a browser sent must not look like a line of its own."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
