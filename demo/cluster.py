"""The demo on many processes: Redis, two web processes behind one port and two Celery workers.

Everything runs on 127.0.0.1; Redis takes a free port and a folder of its own, which is gone afterwards.  Ctrl+C and
SIGTERM end all of it, the workers last but one: what they are doing is finished.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # seconds that a process has to end by itself, or Redis to answer
WORKERS = ("one", "two")

is_ending = False


def main() -> int:
    port = os.environ.get("PORT", "8000")
    program = shutil.which("redis-server")
    if program is None:
        print("This needs redis-server. On Debian or Ubuntu: sudo apt-get install redis-server")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="htmx-live-demo-") as folder:
        started: list[subprocess.Popen[bytes]] = []
        try:
            redis_port = _free_port()
            started.append(_start([program, "--port", str(redis_port), "--dir", folder, *_QUIET]))
            _wait_for(redis_port)
            environment = {**os.environ, "DEMO_REDIS": f"redis://127.0.0.1:{redis_port}"}
            started += [_start(_worker(name), environment) for name in WORKERS]
            started.append(_start(_web(port), environment))
            print(f"The demo is on http://127.0.0.1:{port}/ (end it with Ctrl+C)")
            print(f"Redis on port {redis_port}, two web processes, and the Celery workers {' and '.join(WORKERS)}.")
            return _watch(started)
        finally:
            for process in reversed(started):  # the web first, then the workers, Redis at last
                _stop(process)


_QUIET = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning")


def _web(port: str) -> list[str]:
    """Two processes that accept from one socket; uvicorn starts another when one of them dies."""
    listen = ["--host", "127.0.0.1", "--port", port, "--workers", "2", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", "demo.asgi:application", *listen]


def _worker(name: str) -> list[str]:
    options = ["--pool", "prefork", "--concurrency", "2", "--loglevel", "warning", "--hostname", f"{name}@localhost"]
    return [sys.executable, "-m", "celery", "--app", "demo.celery", "worker", *options, "--without-mingle"]


def _start(command: list[str], environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl+C in the terminal reaches this process alone, which ends the others in their order.
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def _watch(started: list["subprocess.Popen[bytes]"]) -> int:
    """Until somebody ends it, or one of the processes ends by itself: then 1."""
    while not is_ending:
        for process in started:
            if process.poll() is not None:
                print(f"{' '.join(map(str, process.args))} ended with {process.returncode}: ending the others.")  # type: ignore[arg-type]
                return 1
        time.sleep(0.2)
    return 0


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
