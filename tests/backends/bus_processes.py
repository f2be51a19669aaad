"""Code of a test that runs in a process of its own, with a bus on the test's Redis."""

import json
import os
import subprocess
import sys

__all__ = ["in_another_process"]

_BEGIN = """
import django
django.setup()
from htmx_live.backends import bus
"""


def in_another_process(code: str, *, url: str, prefix: str) -> str:
    """What the code, which finds ``bus()``, has printed; it must end well."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.http.settings",
        "TRANSPORT_SETTINGS": json.dumps({"REDIS_URL": url, "REDIS_PREFIX": prefix}),
    }
    command = [sys.executable, "-c", _BEGIN + code]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=60).stdout
