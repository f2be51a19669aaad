"""Reviving: a turn on a record that code of another day may have written."""

import logging
from collections.abc import Callable
from typing import Literal

from django.http import HttpRequest

from htmx_live.exceptions import InstanceGone, StateError
from htmx_live.records import Owner, Record
from htmx_live.runtime.parts import parts
from htmx_live.runtime.turn import Turn

__all__ = ["revive"]

logger = logging.getLogger("htmx_live.runtime")


def revive(
    record: Record,
    *,
    request: HttpRequest | None = None,
    owner: Callable[[bool], Owner] | None = None,
    children: Literal["kept", "full"] = "kept",
) -> Turn:
    """A turn on ``record``, to be called inside ``around(record)``, for its state may need the database.

    A deploy may have taken away what the state was made of.  Then the record is as good as gone: it is removed, so
    that the page mounts it again, and ``InstanceGone`` is raised.
    """
    try:
        return Turn(record, request=request, owner=owner, children=children)
    except (StateError, ImportError):
        logger.exception("Instance %s (%s) cannot be read; it will be mounted again", record.instance, record.view)
        parts().store.delete(record.instance)
        raise InstanceGone(f"The state of instance {record.instance} cannot be read.") from None
