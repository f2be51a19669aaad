"""A store whose process stops while it claims a job, until the test lets it go on."""

import os
import time
from pathlib import Path

from htmx_live.backends.redis.store import RedisStore

__all__ = ["HesitantStore"]


class HesitantStore(RedisStore):
    """Before its n-th call for a claim, writes the file of ``TEST_HESITATE`` and waits for its twin ``.on``.

    n is ``TEST_HESITATE_AT``.
    """

    claims = 0

    def acquire_lock(self, name: str, holder: str, *, ttl: float) -> bool:
        path = os.environ["TEST_HESITATE"]
        self.claims += name.startswith("begun:")
        if name.startswith("begun:") and self.claims == int(os.environ["TEST_HESITATE_AT"]):
            Path(path).touch()
            while not Path(f"{path}.on").exists():
                time.sleep(0.01)
        return super().acquire_lock(name, holder, ttl=ttl)
