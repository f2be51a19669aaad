"""A site to attack, on a stage of its own for each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from htmx_live.testing.environment import Stage
from htmx_live.testing.environment import stage as new_stage
from tests.threats import settings as site


@pytest.fixture(autouse=True)
def stage(settings: Any) -> Iterator[Stage]:
    settings.ROOT_URLCONF = site.ROOT_URLCONF
    settings.TEMPLATES = site.TEMPLATES
    with new_stage() as built:
        yield built
