"""Soak: a real server under a mixed load for any duration, and what it keeps afterwards.

    python -m tests.soak --minutes 20 --store memory
    make soak MINUTES=20 STORE=redis

CONTRIBUTING.md says what the report contains and what makes a run fail.
"""

LINES = 10  # of text that a job of the site writes
