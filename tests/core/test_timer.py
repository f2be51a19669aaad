"""The timer thread: what a call raises, and what happens when the thread is gone."""

import ctypes
import logging
import threading
from typing import Any

import pytest

from htmx_live.core.exceptions import Cancelled, JobTimeout
from htmx_live.core.scheduler import ThreadTimer

PATIENCE = 30.0


def run(timer: ThreadTimer) -> threading.Thread:
    """The thread that makes a call which is due now."""
    threads: list[threading.Thread] = []
    is_made = threading.Event()

    def call() -> None:
        threads.append(threading.current_thread())
        is_made.set()

    timer.call_at(timer(), call)
    assert is_made.wait(PATIENCE)
    return threads[0]


@pytest.mark.parametrize("error", [ValueError("odd"), Cancelled(), JobTimeout("work", 1.0), SystemExit(3)])
def test_a_call_that_raises_is_logged_and_the_thread_goes_on(error: BaseException, caplog: Any) -> None:
    caplog.set_level(logging.ERROR, "htmx_live.core")
    timer = ThreadTimer()

    def fail() -> None:
        raise error

    timer.call_at(timer(), fail)
    first = run(timer)
    assert (first.is_alive(), caplog.records[0].exc_info[1]) == (True, error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_died_is_started_anew_with_what_was_due() -> None:
    timer = ThreadTimer()
    first = run(timer)
    assert first.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(first.ident), ctypes.py_object(SystemExit))
    timer.call_at(timer() + 3600, lambda: None)  # wakes it: the exception is raised outside of any call
    first.join(PATIENCE)
    second = run(timer)
    assert (first.is_alive(), second.is_alive()) == (False, True)
