"""Reviving: a turn on a record that code of another day may have written."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

from django.http import HttpRequest

from htmx_live.exceptions import InstanceGone, StateError
from htmx_live.live import import_view
from htmx_live.records import Owner, Record
from htmx_live.runtime.channels import channels_of
from htmx_live.runtime.following import end
from htmx_live.runtime.later import keep_trying
from htmx_live.runtime.parts import parts
from htmx_live.runtime.turn import Turn
from htmx_live.transport.messages import SYNC

__all__ = ["check_state", "revive"]

logger = logging.getLogger("htmx_live.runtime")


def revive(
    record: Record,
    *,
    request: HttpRequest | None = None,
    owner: Callable[[bool], Owner] | None = None,
    children: Literal["kept", "full"] = "kept",
) -> Turn:
    """A turn on ``record``, to be called inside ``around(record)``, for its state may need the database.

    A deployment may have removed what the state consists of, or added attributes that it lacks.  Then the instance
    ends, its pages mount it again, and ``InstanceGone`` is raised.
    """
    try:
        check_state(record)
        return Turn(record, request=request, owner=owner, children=children)
    except (StateError, ImportError) as error:
        logger.warning(
            "Instance %s (%s) cannot be read; it will be mounted again: %s", record.instance, record.view, error
        )
    end(record.instance)
    if request is None or record.shared:  # else the answer to the request is the view, mounted again
        keep_trying(partial(_ask_for_sync, record))
    raise InstanceGone(f"The state of instance {record.instance} cannot be read.")


def check_state(record: Record) -> None:
    """Raise ``StateError`` if the running code's ``mount()`` sets what the code that saved ``record`` did not know."""
    missing = import_view(record.view)._mounted - record.state.keys() - set(record.unset)
    if missing:
        raise StateError(f"Its state lacks {', '.join(sorted(missing))}, which mount() sets.")


def _ask_for_sync(record: Record) -> None:
    """A background turn cannot mount the view again: that takes a request of its user."""
    parts().bus.publish(channels_of(record), f"live-{record.instance}", "{}", event=SYNC)
