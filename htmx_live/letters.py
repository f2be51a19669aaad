"""Letters: mail as text, for it waits in a store, and another process may take it out."""

import json
from dataclasses import asdict
from typing import Any, get_args

from htmx_live.events import Again, Effect, JobFailure, Mail, Merge, Push, Tick, Viewed
from htmx_live.records import JobRow

__all__ = ["fold_of", "read_mail", "write_mail"]

_MAIL: dict[str, type[Mail]] = {kind.__name__: kind for kind in get_args(Mail)}
_EFFECTS: dict[str, type[Effect]] = {kind.__name__: kind for kind in get_args(Effect)}


def write_mail(mail: Mail) -> str:
    """``mail`` as text for a mailbox."""
    fields = asdict(mail)
    if isinstance(mail, Merge | Again):
        fields["effects"] = [[type(effect).__name__, asdict(effect)] for effect in mail.effects]
    return json.dumps([type(mail).__name__, fields])


def fold_of(mail: Mail) -> str:
    """A word that two letters share when the newer says all that the older did, "" when none does."""
    if isinstance(mail, Tick):
        return "tick"
    if isinstance(mail, Again) and not mail.effects:
        return "again"
    if isinstance(mail, Push) and not mail.handler:
        return f"push {' '.join(sorted(mail.state))}"
    if isinstance(mail, Viewed):
        return f"viewed {mail.variant}"
    return ""


def read_mail(text: str) -> Mail:
    """The mail that ``write_mail`` wrote."""
    name, fields = json.loads(text)
    if fields.get("failure"):
        fields["failure"] = JobFailure(**fields["failure"])
    if "effects" in fields:
        fields["effects"] = [_read_effect(*effect) for effect in fields["effects"]]
    return _MAIL[name](**fields)


def _read_effect(name: str, fields: dict[str, Any]) -> Effect:
    if "row" in fields:
        fields["row"] = JobRow(**fields["row"])
    return _EFFECTS[name](**fields)
