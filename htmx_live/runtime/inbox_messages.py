"""Events and effects: what happens to an instance, and what its code asks for in return.

An *event* is handed to ``runtime.dispatch``; those that may wait in an instance's mailbox are ``Mail``.  An *effect*
is asked for by a view's code and performed by the runtime once the turn is saved.

Letters: mail as text, for it waits in a store, and another process may take it out.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _

from htmx_live.core.records import JobRow, Record
from htmx_live.events.handlers import Handler

__all__ = [
    "AppendText",
    "AttachPage",
    "BroadcastPush",
    "CancelJobs",
    "ClearText",
    "DeleteUpload",
    "Effect",
    "Event",
    "InstanceMessage",
    "JobFailure",
    "JobFinished",
    "JobFlush",
    "JobLost",
    "JobMessage",
    "JobStageChanged",
    "Push",
    "Redirect",
    "Rerender",
    "ResetForms",
    "SendFragments",
    "SendNotice",
    "ShowToast",
    "StartJob",
    "Tick",
    "UserEvent",
    "coalesce_key",
    "deserialize_message",
    "serialize_message",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job ended without a result; ``str()`` of it is safe to show.

    ``kind`` is ``"error"`` (the callback raised), ``"user"`` (it raised a ``UserError``; ``detail`` is its text),
    ``"lost"`` (its process died), ``"timeout"`` (it took longer than ``JOB_TIME_LIMIT``) or ``"refused"`` (it could not
    be started).  ``id`` finds the traceback in the log.
    """

    id: str
    kind: Literal["error", "user", "lost", "timeout", "refused"] = "error"
    detail: str = ""

    def __str__(self) -> str:
        if self.kind == "user":
            return self.detail
        if self.kind == "lost":
            return _("The work was interrupted. Please start it again. (%(id)s)") % {"id": self.id}
        if self.kind == "timeout":
            return _("The work took too long and was ended. (%(id)s)") % {"id": self.id}
        if self.kind == "refused":
            return _("This cannot be done at the moment. Please try again. (%(id)s)") % {"id": self.id}
        return _("Something went wrong. (error %(id)s)") % {"id": self.id}


# Effects


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """Start ``callback`` in the background; replaces the running job of the same name and key."""

    row: JobRow
    callback: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    is_async: bool = False
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelJobs:
    """Cancel the running jobs of this name, or started by the handler of this name; ``key`` None means every key."""

    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendText:
    """Add ``text`` to a text stream of the instance, or put it in the place of what is there."""

    stream: str
    text: str
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearText:
    """Forget a text stream."""

    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Send the page whose user started this to ``url``, which has been checked."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowToast:
    """A toast; ``level`` is one of Django's message tags (debug, info, success, warning, error)."""

    message: str
    level: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetForms:
    """Let the answer overwrite what the user has typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFragments:
    """Publish partials, as text in ``data``; one with the same ``target`` later says all that this one says."""

    channels: list[str]
    target: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNotice:
    """Keep a notice for whoever hears ``channel``, and send it; ``notice`` are the fields of an ``Unread``."""

    channel: str
    notice: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastPush:
    """Hand a ``Push`` to all instances of a view, those with these encoded mount kwargs and of this user's pk.

    None stands for any; ``without`` is the id of an instance that is left out.
    """

    view: str
    state: dict[str, str] = field(default_factory=dict)
    handler: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    kwargs: dict[str, Any] | None = None
    user: str | None = None
    without: str = ""

    def matches(self, record: Record) -> bool:
        if record.view != self.view or record.instance == self.without:
            return False
        if self.user is not None and self.user != record.owner.user:
            return False
        return all(record.kwargs.get(name) == value for name, value in (self.kwargs or {}).items())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUpload:
    """Delete a kept file; ``name`` is what ``keep()`` returned."""

    name: str


_PublishEffect = SendFragments | SendNotice
Effect = (
    StartJob
    | CancelJobs
    | AppendText
    | ClearText
    | Redirect
    | ShowToast
    | ResetForms
    | BroadcastPush
    | _PublishEffect
    | DeleteUpload
)


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent:
    """A user's event, bound and checked: ``arguments`` are keyword arguments of the handler."""

    handler: Handler
    arguments: dict[str, Any]
    request: HttpRequest
    nonce: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachPage:
    """Another page load shows the instance from now on (reload, back, a form posted without JavaScript).

    ``facts`` are the fields of a record that describe that load: the language, for example, may have been changed.
    """

    page: str
    request: HttpRequest
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFlush:
    """A running job hands over what it changed so far (``flush()``), and what it asks for.

    ``changes`` are encoded attributes, ``removed`` the names of deleted ones.
    """

    ref: str
    changes: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished:
    """A job has ended.  ``result`` is encoded; ``failure`` is None when it is done.

    ``cancelled`` is true when the callback itself gave up by raising ``Cancelled``.
    """

    ref: str
    changes: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    result: Any = None
    failure: JobFailure | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStageChanged:
    """How it stands with a job that has not ended: its row's new ``stage``."""

    ref: str
    stage: Literal["", "waiting", "late"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLost:
    """The lease of a job ended without a result.

    ``again`` are the fields of the ``StartJob`` that starts it anew, but for its row; empty when it is given up.
    """

    ref: str
    again: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerender:
    """A turn was saved, and what it had to say could not be sent: ``effects``, and the render in any case.

    ``page`` is that of the user who caused them.
    """

    effects: list[Effect] = field(default_factory=list)
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Our own code changes the instance from outside: encoded attributes are set, then a method is called.

    ``handler`` is any method of the view, or "" for none; ``payload`` are its encoded keyword arguments.
    """

    state: dict[str, str] = field(default_factory=dict)
    handler: str = ""
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time for ``handle_tick()``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantViewed:
    """Somebody looks at a shared instance in this variant: what they may lack of it is rendered and sent."""

    variant: str


JobMessage = JobFlush | JobFinished | JobStageChanged | JobLost
InstanceMessage = JobMessage | Push | Tick | VariantViewed | Rerender
Event = UserEvent | AttachPage | InstanceMessage


_MESSAGE_TYPES: dict[str, type[InstanceMessage]] = {
    "Merge": JobFlush,
    "JobEnd": JobFinished,
    "JobNews": JobStageChanged,
    "JobLost": JobLost,
    "Push": Push,
    "Tick": Tick,
    "Viewed": VariantViewed,
    "Again": Rerender,
}  # the words of stored messages
_EFFECT_TYPES: dict[str, type[Effect]] = {
    "StartJob": StartJob,
    "CancelJobs": CancelJobs,
    "WriteText": AppendText,
    "EndText": ClearText,
    "Redirect": Redirect,
    "Notice": ShowToast,
    "ResetForms": ResetForms,
    "PushTo": BroadcastPush,
    "SendFragments": SendFragments,
    "SendNotice": SendNotice,
    "DiscardFile": DeleteUpload,
}
_STORED_NAMES: dict[type, str] = {kind: name for name, kind in [*_MESSAGE_TYPES.items(), *_EFFECT_TYPES.items()]}


def serialize_message(message: InstanceMessage) -> str:
    """``mail`` as text for a mailbox."""
    fields = asdict(message)
    if isinstance(message, JobFlush | Rerender):
        fields["effects"] = [[_STORED_NAMES[type(effect)], asdict(effect)] for effect in message.effects]
    return json.dumps([_STORED_NAMES[type(message)], fields])


def coalesce_key(message: InstanceMessage) -> str:
    """A word that two letters share when the newer says all that the older did, "" when none does."""
    if isinstance(message, Tick):
        return "tick"
    if isinstance(message, Rerender) and not message.effects:
        return "again"
    if isinstance(message, Push) and not message.handler:
        return f"push {' '.join(sorted(message.state))}"
    if isinstance(message, VariantViewed):
        return f"viewed {message.variant}"
    return ""


def deserialize_message(text: str) -> InstanceMessage:
    """The mail that ``write_mail`` wrote."""
    name, fields = json.loads(text)
    if fields.get("failure"):
        fields["failure"] = JobFailure(**fields["failure"])
    if "effects" in fields:
        fields["effects"] = [_deserialize_effect(*effect) for effect in fields["effects"]]
    return _MESSAGE_TYPES[name](**fields)


def _deserialize_effect(name: str, fields: dict[str, Any]) -> Effect:
    if "row" in fields:
        fields["row"] = JobRow(**fields["row"])
    return _EFFECT_TYPES[name](**fields)
