"""The site of the clusters without Redis: everything is in the memory of its processes."""

import json
from pathlib import Path

from tests.server import Server

__all__ = ["Site"]


class Site(Server):
    """The site of the clusters in memory, in ``workers`` processes of uvicorn."""

    def __init__(self, folder: Path, *, workers: int = 1, **live: object) -> None:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_LIVE": json.dumps({"HEARTBEAT": 1.0, **live}),
            "FAULTS_BROKER": "memory://",
            "FAULTS_DATABASE": str(folder / "db.sqlite3"),
        }
        super().__init__("tests.faults.asgi:application", log=folder / "site.log", env=env)
        self.workers = workers

    def command(self) -> list[str]:
        return [*super().command(), "--workers", str(self.workers)]
