"""How the project's databases bear many threads at once."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning

from htmx_live.checks.project import uses_live_asgi
from htmx_live.checks.reading import given_settings
from htmx_live.conf import Settings, is_debug, project_setting

__all__ = ["check_connections", "check_sqlite"]

_SQLITE = (".sqlite3", ".spatialite")


@given_settings
def check_sqlite(chosen: Settings) -> Iterable[CheckMessage]:
    """Find SQLite databases on which jobs and requests that write at the same time fail each other.

    Not under ``DEBUG``: what ``startproject`` writes is right for one developer, and would warn at every start.
    """
    if is_debug() or chosen.RUNNER == "immediate":
        return
    for alias, database in _databases():
        options = database.get("OPTIONS") or {}
        is_immediate = str(options.get("transaction_mode")).upper() in ("IMMEDIATE", "EXCLUSIVE")
        has_wal = "wal" in str(options.get("init_command")).lower()
        if _is_sqlite(database) and not (is_immediate and has_wal):
            yield Warning(
                f"DATABASES[{alias!r}] is SQLite with its default locking. Jobs and requests that write at the same "
                'time fail with "database is locked".',
                hint='Add to it: "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, '
                '"init_command": "PRAGMA journal_mode=WAL"}. Or use another database.',
                id="htmx_live.W048",
            )


def check_connections(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Find persistent connections under ASGI, where each thread of a request keeps one that no other thread uses."""
    return [
        Warning(
            f"DATABASES[{alias!r}] has CONN_MAX_AGE={database['CONN_MAX_AGE']!r} under ASGI. Connections then stay "
            "open in threads that do not use them again, until the database refuses more.",
            hint='Leave CONN_MAX_AGE at 0. For fewer connects use a pool: PgBouncer, or "OPTIONS": {"pool": True} with '
            "psycopg 3.",
            id="htmx_live.W015",
        )
        for alias, database in _databases()
        if uses_live_asgi() and database.get("CONN_MAX_AGE", 0) != 0 and not _is_sqlite(database)
    ]


def _databases() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from project_setting("DATABASES", {}).items()


def _is_sqlite(database: dict[str, Any]) -> bool:
    return str(database.get("ENGINE", "")).endswith(_SQLITE)
