"""What the command line and the environment tell of a server's processes."""

import pytest

from htmx_live.runtime.processes import configured_workers

UVICORN, GUNICORN = "/venv/bin/uvicorn", "/venv/bin/gunicorn"


@pytest.mark.parametrize(
    ("argv", "environ", "workers"),
    [
        ([UVICORN, "mysite.asgi:application"], {}, 1),
        ([UVICORN, "mysite.asgi:application", "--workers", "3"], {}, 3),
        (["/venv/lib/uvicorn/__main__.py", "--workers=3", "mysite.asgi:application"], {}, 3),
        ([UVICORN, "mysite.asgi:application"], {"WEB_CONCURRENCY": "4"}, 4),
        ([UVICORN, "mysite.asgi:application", "--workers", "1"], {"WEB_CONCURRENCY": "4"}, 1),
        ([UVICORN, "mysite.asgi:application"], {"WEB_CONCURRENCY": "many"}, 1),
        ([GUNICORN, "-w", "3", "mysite.asgi"], {}, 3),
        ([GUNICORN, "-w3", "mysite.asgi"], {"GUNICORN_CMD_ARGS": "--workers 5"}, 3),
        ([GUNICORN, "mysite.asgi"], {"GUNICORN_CMD_ARGS": "--workers 5"}, 5),
        (["/venv/bin/daphne", "mysite.asgi:application"], {"WEB_CONCURRENCY": "4"}, 1),
        (["manage.py", "import", "--workers", "8"], {}, 1),
        ([], {}, 1),
    ],
)
def test_the_workers_of_a_server_are_those_that_it_was_asked_for(
    argv: list[str], environ: dict[str, str], workers: int
) -> None:
    assert configured_workers(argv, environ) == workers
