"""Testing live views without a browser."""

from htmx_live.testing.client import LiveClient
from htmx_live.testing.clock import ManualClock
from htmx_live.testing.recording import RecordingTransport
from htmx_live.testing.sent import sent_to

__all__ = ["LiveClient", "ManualClock", "RecordingTransport", "sent_to"]
