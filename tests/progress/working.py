"""A process of its own that works on a session: ``python -m tests.progress.working REDIS_URL SESSION WORD…``.

It says ``ready`` when it works, and then does what it reads from its standard input.
"""

import os
import sys


def main(url: str, session_id: str, word: str, task: str) -> None:
    from htmx_live.progress import ProgressSession

    session = ProgressSession.get(session_id)
    assert session is not None
    if word == "hold":  # until it is killed, or told to finish
        session.update(task, current=3, total=10)
        print("ready", flush=True)
        sys.stdin.readline()
        session.complete(task)
    elif word == "count":
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(500):
            session.advance(task)
        session.check_cancelled(task)
        from htmx_live.progress.reporter import get_reporter

        get_reporter(session_id, task).flush()
    elif word == "complete":
        session.complete(task)
    print("done", flush=True)


if __name__ == "__main__":
    import django
    from django.conf import settings

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.HTMX_LIVE = {"REDIS_URL": sys.argv[1], "REDIS_PREFIX": "processes:"}
    django.setup()
    main(*sys.argv[1:])
