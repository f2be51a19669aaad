"""Testing live views without a browser."""

from htmx_live.testing.client import LiveClient
from htmx_live.testing.environment import ManualClock, RecordingTransport, sent_to

__all__ = ["LiveClient", "ManualClock", "RecordingTransport", "sent_to"]
