"""What was sent without a live view, as a test sees it."""

from typing import Any

from htmx_live.regions import channels_to
from htmx_live.testing.stage import current_stage

__all__ = ["sent_to"]


def sent_to(to: Any) -> list[str]:
    """The messages of ``send_fragment`` to a user, a request's page or a ``Topic``, oldest first."""
    channels = channels_to(to)
    messages = current_stage().transport.messages
    return [message.data for message in messages if message.channel in channels and not message.event]
