"""What the tests of the admin's actions share: an admin, signed in, on the site of the durable tasks."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from htmx_live.testing.environment import LiveEnvironment
from tests.contrib.task_history.conftest import staged

__all__ = ["staged"]


@pytest.fixture
def ann(db: None) -> Any:
    return get_user_model().objects.create_superuser("ann", password="secret")


@pytest.fixture
def client(ann: Any, staged: LiveEnvironment, settings: Any) -> Client:
    settings.ROOT_URLCONF = "tests.contrib.task_history.site"
    Group.objects.bulk_create(Group(name=f"Group {number}") for number in range(1, 8))
    signed_in = Client()
    signed_in.force_login(ann)
    return signed_in
