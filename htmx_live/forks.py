"""Forks: a forked process (Celery's prefork pool) has none of its parent's threads, and its locks as they were held."""

import os
from collections.abc import Callable

__all__ = ["after_fork"]


def after_fork(call: Callable[[], None]) -> Callable[[], None]:
    """Decorates what puts a module's own state right in a forked process."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
    return call
