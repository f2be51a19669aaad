"""A connection to Redis, as the tests of the buses have it."""

from tests.backends.conftest import connection

__all__ = ["connection"]
