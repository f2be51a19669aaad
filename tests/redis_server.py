"""A real redis-server for tests: started on a free port, killed, frozen, emptied, started again on the same port."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError, RedisError

from tests.server import free_port

__all__ = ["RedisServer"]

PATIENCE = 20.0  # seconds until a server that does not answer, or does not end, fails the test


class RedisServer:
    """One redis-server in a process of its own, on 127.0.0.1.  It is a context manager.

    Its data is in ``folder``; with ``durable`` each write is on disk before it is answered, so that it outlives a kill.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder, self.durable, self.port = folder, durable, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        client: Redis = Redis.from_url(self.url, decode_responses=True)
        return client

    def start(self) -> "RedisServer":
        """Start, or start again on the same port; returns when it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: `make test` installs it on Debian."
        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else ["--appendonly", "no"]
        self._process = subprocess.Popen(
            [
                program,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.folder),
                *keeping,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                with self.client() as client:
                    client.ping()
                return self
            except (ConnectionError, RedisError):
                assert self._process.poll() is None, "redis-server ended at once"
                time.sleep(0.02)
        raise AssertionError(f"redis-server did not answer within {PATIENCE:.0f} s")

    def kill(self) -> None:
        """SIGKILL: what is not on disk is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        assert self._process is not None, "The server is not running: call start()."
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None, "The server is not running: call start()."
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.thaw()
            self.stop()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "The server is not running: call start()."
        process.send_signal(number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"redis-server did not end {PATIENCE:.0f} s after {number.name}.") from None
