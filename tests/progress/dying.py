"""A process that performs a task and is killed right after one step: ``python -m tests.progress.dying URL … STEP``."""

import os
import signal
import sys
from typing import Any


def die_after(step: str) -> None:
    """Kill this process when the method that ``step`` names has done its work for the first time."""
    from htmx_live.backends.redis.store import RedisStore
    from htmx_live.progress.redis_store import RedisProgressStore

    name, method = step.split(".")
    cls: Any = {"RedisProgressStore": RedisProgressStore, "RedisStore": RedisStore}[name]
    real = getattr(cls, method)

    def last(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(cls, method, last)


def main(session: str, ref: str, step: str) -> None:
    from htmx_live.jobs.runner import Job
    from htmx_live.runtime.job_control import executor

    die_after(step)
    executor.run(Job(ref=ref, instance=session, callback="", args=["a"], kind="progress"))


if __name__ == "__main__":
    import django
    from django.conf import settings

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.HTMX_LIVE = {"REDIS_URL": sys.argv[1], "REDIS_PREFIX": "processes:"}
    django.setup()
    main(*sys.argv[2:])
