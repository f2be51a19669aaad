"""Leaves out what this Django does not have."""

import django

collect_ignore = [] if django.VERSION >= (6,) else ["test_tasks.py"]  # django.tasks came with Django 6
