"""The demo on many processes: Redis, two web processes behind one port and two Celery workers.

Everything runs on 127.0.0.1; Redis takes a free port and a folder of its own, which is gone afterwards.  Kill what you
like: uvicorn starts another web process, and this program another worker.  Ctrl+C and SIGTERM end all of it, the
workers last but one: what they are doing is finished.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # seconds that a process has to end by itself, or Redis to answer
AT_ONCE = 5.0  # seconds; a process that lives no longer has died early
EARLY_DEATHS = 3  # in a row: a process that dies so often would go on dying
WORKERS = ("one", "two")

is_ending = False


@dataclass
class Part:
    """One process of the demo and those that it starts, in a session of their own.

    Ctrl+C in the terminal so reaches this program alone, which ends the others in their order.
    """

    name: str
    command: list[str]
    environment: dict[str, str] | None = None
    is_replaced: bool = False  # when it dies; else its death ends the demo
    sessions: list[int] = field(default_factory=list)
    early_deaths: int = 0  # in a row

    def start(self) -> "Part":
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, start_new_session=True)
        self.sessions.append(self.process.pid)
        self.began = time.monotonic()
        return self

    def goes_on(self) -> bool:
        """Whether it lives, or has been replaced by another."""
        if self.process.poll() is None:
            return True
        print(f"{self.name} ended with {self.process.returncode}.", flush=True)
        self.early_deaths = self.early_deaths + 1 if time.monotonic() < self.began + AT_ONCE else 0
        if not self.is_replaced or self.early_deaths == EARLY_DEATHS:
            return False
        print(f"Another {self.name} begins.", flush=True)
        self.start()
        return True

    def stop(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        for session in self.sessions:  # what did not end, or was left behind by a process that was killed
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
        self.process.wait()


def main() -> int:
    port = os.environ.get("PORT", "8000")
    program = shutil.which("redis-server")
    if program is None:
        print("This needs redis-server. On Debian or Ubuntu: sudo apt-get install redis-server")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="htmx-live-demo-") as folder:
        started: list[Part] = []
        try:
            redis_port = _free_port()
            started.append(Part("Redis", _redis(program, redis_port, folder)).start())
            _wait_for(redis_port)
            redis = f"redis://127.0.0.1:{redis_port}"
            environment = {**os.environ, "DEMO_REDIS": redis}
            started += [Part(f"worker {name}", _worker(name), environment, True).start() for name in WORKERS]
            started.append(Part("web server", _web(port), environment).start())
            _greet(port, redis)
            while not is_ending and all(part.goes_on() for part in started):
                time.sleep(0.2)
        finally:
            for part in reversed(started):  # the web first, then the workers, Redis at last
                part.stop()
    return 0 if is_ending else 1


def _redis(program: str, port: int, folder: str) -> list[str]:
    nothing_kept = ["--save", "", "--appendonly", "no", "--dir", folder, "--logfile", f"{folder}/log"]
    return [program, "--port", str(port), "--bind", "127.0.0.1", "--loglevel", "warning", *nothing_kept]


def _web(port: str) -> list[str]:
    """Two processes that accept from one socket; uvicorn starts another when one of them dies."""
    listen = ["--host", "127.0.0.1", "--port", port, "--workers", "2", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", "demo.asgi:application", *listen]


def _worker(name: str) -> list[str]:
    options = ["--pool", "prefork", "--concurrency", "2", "--loglevel", "warning", "--hostname", f"{name}@localhost"]
    return [sys.executable, "-m", "celery", "--quiet", "--app", "demo.celery", "worker", *options, "--without-mingle"]


def _greet(port: str, redis: str) -> None:
    print(f"The demo is on http://127.0.0.1:{port}/ (end it with Ctrl+C)")
    print("It runs on Redis, two web processes and two Celery workers. An order from yet another process:")
    print(f"DEMO_REDIS={redis} {sys.executable} demo/manage.py new_order", flush=True)


def _end(number: int, frame: object) -> None:
    global is_ending
    is_ending = True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("redis-server did not answer")


if __name__ == "__main__":
    sys.exit(main())
