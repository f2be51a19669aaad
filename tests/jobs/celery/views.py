"""Live views whose work is done by real workers; a job says in a file that it has begun, and waits for another."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from htmx_live import LiveView, event_handler
from htmx_live.core.records import JobRow
from htmx_live.core.signing import random_id
from htmx_live.runtime.inbox_messages import StartJob


def begin(path: str) -> None:
    """One line for each time that a job has begun: the process."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")


class Desk(LiveView):
    """``ended`` lists what ``handle_async_result`` was told."""

    template_name = "views/desk.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.step = 0
        self.ended: list[str] = []

    # What a job does

    def work(self, path: str) -> int:
        """Until the file's twin ``.go`` is there."""
        begin(path)
        while not Path(f"{path}.go").exists():
            time.sleep(0.01)
        return 42

    async def work_async(self, path: str) -> int:
        begin(path)
        while not Path(f"{path}.go").exists():
            await asyncio.sleep(0.01)
        return 42

    def hang(self, path: str) -> None:
        """For ever, whoever asks for its end."""
        begin(path)
        time.sleep(3600)

    async def hang_async(self, path: str) -> None:
        begin(path)
        await asyncio.sleep(3600)

    async def hang_aside(self, path: str) -> None:
        begin(path)
        await asyncio.to_thread(time.sleep, 3600)

    async def hang_in_the_middle(self, path: str) -> None:
        await sync_to_async(self.hang)(path)

    def listen(self, path: str) -> None:
        """Until it is not wanted any more."""
        begin(path)
        while not self.cancelled:
            time.sleep(0.01)
        begin(f"{path}.told")

    def call_late(self, path: str) -> None:
        """Ignores everything until the file's twin is there; then writes down what its next call raises."""
        begin(path)
        while not Path(f"{path}.go").exists():
            time.sleep(0.01)
        try:
            self.check_cancelled()
        except BaseException as error:
            Path(f"{path}.raised").write_text(type(error).__name__)
            raise

    def flash(self, path: str) -> int:
        self.step += 1
        return 42

    def stepwise(self, path: str) -> None:
        """Shows a step, and waits for the file's twin before the next."""
        begin(path)
        for number in (1, 2):
            self.step = number
            self.stream_text("log", f"step {number}\n")
            self.flush()
            while not Path(f"{path}.go").exists():
                time.sleep(0.01)

    # Handlers

    @event_handler
    def start(self, job: str, path: str = "", name: str = "job", retries: int = 0) -> None:
        self.start_async(getattr(self, job), path, name=name, retries=retries)

    @event_handler
    def start_odd(self, callback: str) -> None:
        """As if somebody had come by our key, and signed what no view's code can ask for."""
        row = JobRow(ref=random_id(), handler="start_odd", name="odd", key=callback)
        self._live.sink.emit(StartJob(row=row, callback=callback))

    @event_handler
    def stop(self, name: str = "job") -> None:
        self.cancel_async(name)

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.ended = [*self.ended, f"{name}: {error.kind if error else result}"]


class Metrics(LiveView):
    template_name = "views/desk.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.pending_orders = 0

    @event_handler
    def reset(self) -> None:
        self.pending_orders = 0
