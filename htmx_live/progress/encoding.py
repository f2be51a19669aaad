"""Encoding: rows and sessions as JSON texts, for every place outside of this process.

Unknown keys are left out when read: during a deploy two versions of the package share what is kept.
"""

import json
from dataclasses import asdict, fields
from typing import Any

from htmx_live.progress.rate import Rate
from htmx_live.progress.values import ProgressStatus, Row, Session
from htmx_live.records import Owner

__all__ = ["decode_row", "decode_session", "encode_row", "encode_session"]


def encode_row(row: Row) -> str:
    return json.dumps(asdict(row), separators=(",", ":"))


def decode_row(text: str) -> Row:
    given = _known(Row, json.loads(text))
    given["status"] = ProgressStatus(given["status"])
    given["rate"] = Rate(**_known(Rate, given["rate"]))
    return Row(**given)


def encode_session(session: Session) -> str:
    return json.dumps(asdict(session), separators=(",", ":"))


def decode_session(text: str) -> Session:
    given = _known(Session, json.loads(text))
    given["owner"] = Owner(**given["owner"])
    return Session(**given)


def _known(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in given.items() if name in names}
