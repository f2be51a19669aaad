#!/usr/bin/env python
"""A stranger's project: it installs the wheel, adds the apps, and lives elsewhere on the disk."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    execute_from_command_line(sys.argv)
