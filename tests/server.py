"""A real uvicorn for tests: started on a free port, stopped, killed, started again on the same port."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["Server", "demo_server", "free_port"]

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds until a server that does not answer, or does not end, fails the test


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One ASGI application in a process of its own, on 127.0.0.1.  It is a context manager.

    ``app`` is what uvicorn takes ("demo.asgi:application"), found in ``folder``, where it runs too; ``env`` is added to
    this process's environment, and what the server writes ends up in the file ``log``.
    """

    def __init__(
        self,
        app: str,
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        folder: Path = ROOT,
    ) -> None:
        self.app = app
        self.log = log
        self.folder = folder
        self.env = {**os.environ, **(env or {})}
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "The server is not running: call start()."
        return self._process.pid

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [sys.executable, "-m", "uvicorn", self.app, *where, "--log-level", "warning"]

    def start(self) -> "Server":
        """Start, or start again on the same port; returns when it answers."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.env,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, as in a terminal of its own
            )
        self._wait_until_it_answers()
        return self

    def stop(self) -> float:
        """SIGTERM, as a deployment does it; the seconds that it took to end."""
        return self._end(signal.SIGTERM)

    def interrupt(self) -> float:
        """SIGINT to the server's main process alone; see ``stop``."""
        return self._end(signal.SIGINT)

    def press_ctrl_c(self) -> float:
        """SIGINT to all processes of the server, as a terminal sends it; see ``stop``."""
        return self._end(signal.SIGINT, is_for_group=True)

    def kill(self) -> None:
        """SIGKILL: the process is gone without a word."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.stop()

    def _end(self, number: signal.Signals, *, is_for_group: bool = False) -> float:
        process, self._process = self._process, None
        assert process is not None, "The server is not running: call start()."
        began = time.monotonic()
        if is_for_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
            process.wait()
            raise AssertionError(f"{self.app} did not end {PATIENCE:.0f} s after {number.name}.") from None
        return time.monotonic() - began

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise AssertionError(f"{self.app} ended at once:\n{self.log.read_text()[-3000:]}")
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
            except urllib.error.HTTPError:
                return  # an error page is an answer too
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.05)
            else:
                return
        self.kill()
        raise AssertionError(f"{self.app} did not answer within {PATIENCE:.0f} s:\n{self.log.read_text()[-3000:]}")


def demo_server(folder: Path, **env: str) -> Server:
    """The demo on a database of its own in ``folder``, filled with the sample data; not started yet.

    Its jobs rest for nothing, unless ``DEMO_PACE`` says otherwise.
    """
    chosen = {"DEMO_DATABASE": str(folder / "demo.sqlite3"), "DEMO_PACE": "0", **env}
    shutil.copyfile(_sample_database(), chosen["DEMO_DATABASE"])
    chosen["DJANGO_SETTINGS_MODULE"] = "demo.settings"
    return Server("demo.asgi:application", log=folder / "server.log", env=chosen)


@cache
def _sample_database() -> Path:
    """The demo's database with the sample data, made once in each process of the tests and copied from then on."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    database = Path(folder, "demo.sqlite3")
    env = {**os.environ, "DEMO_DATABASE": str(database), "DJANGO_SETTINGS_MODULE": "demo.settings"}
    for command in ("migrate", "sampledata"):
        manage = [sys.executable, str(ROOT / "demo" / "manage.py"), command, "--verbosity", "0"]
        subprocess.run(manage, check=True, env=env)
    return database
