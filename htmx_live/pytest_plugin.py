"""The pytest plugin: the fixture ``live``, a ``LiveClient`` factory in an environment of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["live"]


@pytest.fixture
def live() -> Iterator[Any]:
    """``live(ReportView, year=2026)`` mounts a view; see ``htmx_live.testing.LiveClient``."""
    from htmx_live.testing.client import LiveClient
    from htmx_live.testing.environment import live_environment

    with live_environment():
        yield LiveClient
