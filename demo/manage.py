#!/usr/bin/env python
"""Django's command line for the demo, from any folder."""

import os
import sys
from pathlib import Path

# The demo is the package `demo`: what belongs on the path is the folder that holds it, not the demo itself.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from django.core.management import execute_from_command_line  # noqa: E402

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")
    execute_from_command_line(sys.argv)
