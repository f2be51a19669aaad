"""Live views whose work a test can step into: ``HOOKS[name]`` is called where the view's code says ``step(name)``."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpResponseRedirect
from django.utils import timezone, translation

from htmx_live import Cancelled, LiveView, UserError, background, debounce, event_handler, push_to_view

HOOKS: dict[str, Callable[[], Any]] = {}


def step(name: str) -> None:
    HOOKS.get(name, lambda: None)()


def shout(text: str) -> str:
    """A function at module level can be a job as well."""
    return text.upper()


class Work(LiveView):
    """Jobs of every kind; ``ended`` lists what ``handle_async_result`` was told."""

    template_name = "views/work.html"

    def mount(self, request: Any, start: str = "", **kwargs: Any) -> None:
        self.a = self.b = self.clicks = 0
        self.ended: list[str] = []
        if start:
            self.start_async(getattr(self, start), name="first")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        step("render")
        return super().get_context_data(**kwargs)

    # What a job does

    def set_a(self, value: int = 1) -> None:
        self.a = value
        step("a")

    def set_b(self) -> int:
        self.b = 1
        step("b")
        return 42

    async def set_both(self) -> None:
        self.a = self.b = 5

    async def wait_for_ever(self) -> None:
        self.a = 1
        step("endless")
        await asyncio.Event().wait()

    def set_a_as_it_was(self) -> None:
        step("a")
        self.a = 0

    def fail_after_a(self) -> None:
        self.a = 7
        step("fail")
        raise RuntimeError("secret detail")

    def refuse(self) -> None:
        raise UserError("The file is empty.")

    def give_up(self) -> None:
        self.a = 9
        raise Cancelled

    def check_between(self) -> None:
        self.a = 1
        step("between")
        self.check_cancelled()
        step("after")
        self.b = 1

    def flush_between(self) -> None:
        self.a = 1
        self.flush()
        step("between")
        self.a = 2
        self.flush()
        self.b = 1

    def flush_then_b(self) -> None:
        self.a = 1
        self.flush()
        step("between")
        self.b = 1

    def flush_in_a_transaction(self) -> None:
        try:
            with transaction.atomic():
                self.a = 1
                self.flush()
                step("inside")
                raise ValueError
        except ValueError:
            step("rolled back")

    def swallow_everything(self) -> None:
        try:
            step("between")
            self.check_cancelled()
        except Exception:
            step("swallowed")

    def start_another(self) -> None:
        self.a = 1
        self.start_async(self.set_b, name="second")

    def restart_itself(self) -> None:
        step("again")
        self.start_async(self.set_b, name="job")
        self.a = 99

    def keep_nonsense(self) -> None:
        self.a = 3
        self.b = object()

    def return_nonsense(self) -> Any:
        self.a = 3
        return object()

    def leave(self) -> Any:
        return HttpResponseRedirect("/elsewhere/")

    def say_something(self) -> None:
        self.notify("Half of it is done.")
        step("said")

    def take(self, *args: Any, **kwargs: Any) -> None:
        self.a = [list(args), kwargs]

    def tell(self) -> None:
        self.stream_text("log", "one ")
        step("told")
        self.stream_text("log", "<two> ")
        self.stream_text("log", "three")
        step("told all")

    def tell_anew(self) -> None:
        self.stream_text("log", "draft")
        self.stream_text("log", "final", mode="replace")

    def tell_twice(self) -> None:
        self.stream_text("log", "first")
        self.b = self.streams.pop("log")
        self.stream_text("log", "second")
        self.a = self.streams["log"]

    async def tell_async(self) -> None:
        await self.astream_text("log", "async")
        self.a = 1
        await self.aflush()
        step("flushed")

    def forget_b(self) -> None:
        del self.b

    # Handlers

    @event_handler
    def start(self, job: str, name: str = "", key: str = "", value: int | None = None) -> None:
        arguments = () if value is None else (value,)
        self.start_async(getattr(self, job), *arguments, name=name or None, key=key or None)

    @event_handler
    def start_two(self) -> None:
        self.start_async(self.set_a)
        self.start_async(self.set_b)

    @event_handler
    def start_function(self) -> None:
        self.start_async(shout, "hello", name="shout")

    @event_handler
    def start_with_everything(self) -> None:
        self.start_async(self.take, 1, (2, 3), {4}, word=None, name="take")

    @event_handler
    def start_lambda(self) -> None:
        self.start_async(lambda: None)

    @event_handler
    def start_with_nonsense(self) -> None:
        self.start_async(self.take, object())

    @event_handler
    def start_and_cancel(self) -> None:
        self.start_async(self.set_a, name="job")
        self.cancel_async("job")

    @event_handler
    def stop(self, name: str, key: str | None = None) -> None:
        self.cancel_async(name, key=key)

    @event_handler
    def tell_others(self) -> None:
        push_to_view(Work, state={"a": 70})

    @event_handler
    def click(self) -> None:
        self.clicks += 1
        step("click")

    @event_handler
    def set(self, value: int) -> None:
        self.a = value

    @event_handler
    @background
    def alone(self, value: int = 1) -> None:
        self.a += value

    @event_handler
    @debounce(wait=0.5)
    @background
    def debounced_outside(self) -> None:
        self.a += 10

    @event_handler
    @background
    @debounce(wait=0.5)
    def debounced_inside(self) -> None:
        self.a += 100

    @event_handler
    @background
    async def alone_async(self) -> None:
        self.a += 1000

    @event_handler
    @background(key="pk")
    def row(self, pk: int) -> None:
        self.ended = [*self.ended, f"row {pk}"]

    @event_handler
    def write(self, text: str, stream: str = "log", mode: str = "append") -> None:
        self.stream_text(stream, text, mode=mode)  # type: ignore[arg-type]
        self.b = self.streams.get(stream)

    @event_handler
    def end_log(self) -> None:
        self.b = [self.streams.pop("log"), "log" in self.streams]

    @event_handler
    def go(self, to: str) -> Any:
        return HttpResponseRedirect(to)

    @event_handler
    def answer(self) -> Any:
        return "text"

    @event_handler
    def raise_cancelled(self) -> None:
        raise Cancelled

    async def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        step("result")
        outcome = f"{error.kind} {error}" if error else repr(result)
        self.ended = [*self.ended, f"{name.partition('-')[0]}: {outcome}"]


class Plain(LiveView):
    """Has no ``handle_async_result``."""

    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0

    @event_handler
    @background
    def fail(self) -> None:
        self.count = 5
        raise RuntimeError("secret detail")

    @event_handler
    @background
    def refuse(self) -> None:
        raise UserError("The file is empty.")

    @event_handler
    @background
    def odd(self) -> Any:
        self.count = 6
        return object()

    @event_handler
    def add(self) -> None:
        self.count += 1


class Fragile(LiveView):
    """Its template fails while ``broken``; its result handler while ``refuses``."""

    template_name = "views/fragile.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.broken = self.refuses = False
        self.a = 0

    def trouble(self) -> str:
        if self.broken:
            raise RuntimeError("secret detail")
        return "fine"

    @event_handler
    @background
    def break_it(self) -> None:
        self.broken = True

    @event_handler
    @background
    def work(self) -> None:
        self.a = 1

    @event_handler
    def mend(self) -> None:
        self.broken = False

    @event_handler
    def refuse(self) -> None:
        self.refuses = True

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        if self.refuses:
            self.a = 100
            raise RuntimeError("secret detail")


class Around(LiveView):
    """Shows the surroundings that it is rendered and runs in."""

    template_name = "views/around.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.seen: list[str] = []

    def place(self) -> str:
        return f"{translation.get_language()} {timezone.get_current_timezone_name()} {self.request.method}"

    @event_handler
    def look(self) -> None:
        self.seen = [*self.seen, f"event {self.place()}"]

    @event_handler
    @background
    def look_later(self) -> None:
        self.seen = [*self.seen, f"job {self.place()}"]

    @event_handler
    @background
    async def look_later_async(self) -> None:
        self.seen = [*self.seen, f"async {self.place()}"]

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.seen = [*self.seen, f"end {self.place()}", *([str(error)] if error else [])]


class Retried(LiveView):
    """Its work may be done three times; ``told`` lists how it ended."""

    template_name = "views/plain.html"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.count = 0
        self.told: list[str] = []

    def work(self) -> int:
        self.count = 1
        return 1

    @event_handler
    def go(self) -> None:
        self.start_async(self.work, name="work", retries=2)

    def handle_async_result(self, name: str, result: Any = None, error: Any = None) -> None:
        self.told = [*self.told, f"{name}: {error.kind if error else result}"]
