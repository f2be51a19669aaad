"""A site to attack, on a stage of its own for each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from htmx_live.testing.environment import LiveEnvironment
from htmx_live.testing.environment import live_environment as new_stage
from tests.threats import settings as site


@pytest.fixture(autouse=True)
def stage(settings: Any) -> Iterator[LiveEnvironment]:
    settings.ROOT_URLCONF = site.ROOT_URLCONF
    settings.TEMPLATES = site.TEMPLATES
    with new_stage() as built:
        yield built
