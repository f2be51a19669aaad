"""Courtesy: background turns give way to requests, for a moment."""

import threading

from htmx_live.core.concurrency import RequestPriority


def test_a_turn_waits_for_the_end_of_a_request() -> None:
    courtesy, order = RequestPriority(clock=lambda: 0.0), []  # no time passes

    def turn() -> None:
        courtesy.yield_to_requests()
        order.append("turn")

    thread = threading.Thread(target=turn)
    with courtesy.track_request():
        thread.start()
        order.append("request")
    thread.join()
    assert order == ["request", "turn"]


def test_a_turn_loses_its_patience_with_a_request_that_goes_on() -> None:
    courtesy = RequestPriority()
    with courtesy.track_request():
        courtesy.yield_to_requests(max_delay=0.001)


def test_nobody_waits_for_a_request_that_has_been_answered_for_long() -> None:
    courtesy = RequestPriority(clock=lambda: times.pop(0) if len(times) > 1 else times[0])
    times = [0.0, 10.0]
    with courtesy.track_request():
        courtesy.yield_to_requests(max_delay=1e9)
