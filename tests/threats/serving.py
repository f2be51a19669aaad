"""Servers with the site to attack, and changes of their databases that no signal announces."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.server import Server

__all__ = ["UNTOLD", "another", "environment", "execute", "serve"]

UNTOLD = {
    "permission": "DELETE FROM auth_user_user_permissions"
    " WHERE user_id = (SELECT id FROM auth_user WHERE username = :name)",
    "deactivated": "UPDATE auth_user SET is_active = 0 WHERE username = :name",
    "password": "UPDATE auth_user SET password = 'x' WHERE username = :name",
    "session": "DELETE FROM django_session WHERE session_key = :session",
    "deleted": "DELETE FROM auth_user WHERE username = :name",
}


def environment(folder: Path, **settings: Any) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "tests.threats.settings",
        "THREATS_DATABASE": str(folder / "db.sqlite3"),
        "THREATS_SETTINGS": json.dumps(settings),
    }


def serve(folder: Path, database: Path, *, app: str = "application", **settings: Any) -> Server:
    """The site with a copy of ``database``; not started yet."""
    shutil.copy(database, folder / "db.sqlite3")
    return Server(f"tests.threats.asgi:{app}", log=folder / "server.log", env=environment(folder, **settings))


def another(server: Server) -> Server:
    """A second process of the same site; not started yet."""
    return Server(server.app, log=server.log.with_name("another.log"), env=server.env)


def execute(server: Server, query: str, **parameters: str) -> None:
    """Change the server's database."""
    with closing(sqlite3.connect(server.env["THREATS_DATABASE"], timeout=20)) as database, database:
        assert database.execute(query, parameters).rowcount == 1
