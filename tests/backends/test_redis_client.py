"""The connection to Redis, against a real one that is killed, frozen and started again."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import BlockingConnectionPool, ConnectionPool, Redis

from htmx_live.backends.redis.client import REFUSAL_RESET_AFTER, RETRY_DELAY, RedisConnection, Script, redis_connection
from htmx_live.core.exceptions import StoreUnavailable
from htmx_live.core.text import log_unavailable
from htmx_live.testing import ManualClock
from tests.redis_server import RedisServer

pytestmark = pytest.mark.processes


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def connection(server: RedisServer, clock: ManualClock) -> RedisConnection:
    return RedisConnection(server.url, prefix=f"{uuid4().hex}:", clock=clock)


def test_keys_begin_with_the_prefix() -> None:
    assert RedisConnection("redis://unused", prefix="mine:").key("record", "7") == "mine:record:7"


def test_a_script_is_found_again_after_redis_has_forgotten_it(connection: RedisConnection) -> None:
    script = Script("return {KEYS[1], ARGV[1]}")
    assert connection.run(script, ["k"], [1]) == ["k", "1"]
    connection.call("SCRIPT", "FLUSH")
    assert connection.run(script, ["k"], [2]) == ["k", "2"]


def test_a_redis_that_is_gone_fails_calls_and_is_used_again_when_it_returns(
    connection: RedisConnection, server: RedisServer, clock: ManualClock
) -> None:
    connection.call("SET", connection.key("a"), "1")
    server.kill()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        connection.call("GET", connection.key("a"))
    server.start()
    with pytest.raises(StoreUnavailable, match="did not answer just now"):
        connection.call("GET", connection.key("a"))
    clock.advance(RETRY_DELAY)
    assert connection.call("GET", connection.key("a")) is None


def test_only_one_caller_waits_for_a_frozen_redis(
    connection: RedisConnection, server: RedisServer, clock: ManualClock
) -> None:
    connection.call("PING")
    server.freeze()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        connection.call("PING")
    clock.advance(RETRY_DELAY)
    errors: list[str] = []

    def probe() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            connection.call("PING")
        errors.append(str(caught.value))

    threads = [threading.Thread(target=probe) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("just now" in error for error in errors) == 4
    server.thaw()


def test_a_redis_that_is_known_to_answer_is_used_at_once(connection: RedisConnection, server: RedisServer) -> None:
    server.kill()
    with pytest.raises(StoreUnavailable):
        connection.call("PING")
    server.start()
    connection.reset_breaker()
    assert connection.call("ECHO", "back") == "back"


def test_a_pooled_connection_that_died_is_not_used(connection: RedisConnection, server: RedisServer) -> None:
    connection.call("SET", connection.key("n"), 0)
    server.kill()
    server.start()
    assert connection.call("INCR", connection.key("n")) == 1


def test_a_refused_call_closes_nothing(connection: RedisConnection) -> None:
    connection.call("SET", connection.key("text"), "a")
    with pytest.raises(StoreUnavailable, match="refused a call"):
        connection.call("LPUSH", connection.key("text"), "b")
    assert connection.call("GET", connection.key("text")) == "a"


# More calls than connections


@contextmanager
def in_use(connection: RedisConnection, count: int) -> Iterator[None]:
    """So many calls are under way, each with a connection."""
    held, let_go = threading.Semaphore(0), threading.Event()

    def hold(client: "Redis") -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("held")  # checks a connection out
            held.release()
            let_go.wait()

    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(connection._run_guarded, hold, pool="calls") for _ in range(count)]
        try:
            for _ in calls:
                assert held.acquire(timeout=30)
            yield
        finally:
            let_go.set()


def raising(url: str, **options: Any) -> "Redis":
    """A project's client: its pool of two connections raises when both are in use."""
    return Redis(connection_pool=ConnectionPool.from_url(url, max_connections=2, **options))


def blocking(url: str, **options: Any) -> "Redis":
    """Another one: its pool raises a plain ``ConnectionError`` after a moment."""
    return Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=2, timeout=0.01, **options))


CHOICES = [
    {"REDIS_MAX_CONNECTIONS": 2},
    {"REDIS_CLIENT": f"{__name__}.raising"},
    {"REDIS_CLIENT": f"{__name__}.blocking"},
]


@pytest.fixture(params=CHOICES)
def narrow(request: pytest.FixtureRequest, server: RedisServer, settings: Any) -> RedisConnection:
    """Two connections at most."""
    settings.HTMX_LIVE = request.param
    return RedisConnection(server.url, prefix="narrow:")


def test_calls_wait_for_a_connection(narrow: RedisConnection) -> None:
    with ThreadPoolExecutor(50) as pool:
        with in_use(narrow, 2):
            answers = [pool.submit(narrow.call, "ECHO", str(number)) for number in range(200)]
        assert [answer.result() for answer in answers] == [str(number) for number in range(200)]


def test_a_pool_without_a_free_connection_is_no_outage(narrow: RedisConnection) -> None:
    narrow._checkout_timeout = 0.05
    with in_use(narrow, 2), pytest.raises(StoreUnavailable, match=r"in use for 0\.05 s\. Raise HTMX_LIVE"):
        narrow.call("PING")
    assert narrow.call("ECHO", "at once") == "at once"


def test_calls_that_wait_for_a_connection_fail_soon_when_redis_goes_away(
    narrow: RedisConnection, server: RedisServer
) -> None:
    server.freeze()
    with ThreadPoolExecutor(50) as pool:
        errors = [str(answer.exception()) for answer in [pool.submit(narrow.call, "PING") for _ in range(50)]]
    assert {"does not answer" in error or "did not answer just now" in error for error in errors} == {True}
    server.thaw()


def test_leases_have_connections_of_their_own(narrow: RedisConnection, settings: Any) -> None:
    with in_use(narrow, 2):
        assert narrow.call("ECHO", "renewed", pool="leases") == "renewed"


def test_a_call_that_began_before_redis_answered_again_opens_nothing(
    connection: RedisConnection, server: RedisServer
) -> None:
    """Its connection broke in an outage that is over."""
    with ThreadPoolExecutor(1) as pool, server.client() as redis:
        late = pool.submit(connection.call, "BLPOP", "late", 0.9)
        while not (blocked := [each["id"] for each in redis.client_list() if each["cmd"] == "blpop"]):
            assert not late.done()
        connection.reset_breaker()
        redis.client_kill_filter(_id=blocked[0])
        assert isinstance(late.exception(), StoreUnavailable)
    assert connection.call("ECHO", "at once") == "at once"


# What the log says


def test_a_full_redis_is_logged_once_and_once_when_it_is_well_again(
    connection: RedisConnection, server: RedisServer, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script("return redis.call('SET', KEYS[1], ARGV[1])")
    connection.run(script, ["k"], [1])
    server.client().config_set("maxmemory", 1)
    for _ in range(20):
        with pytest.raises(StoreUnavailable) as caught:
            connection.run(script, ["k"], [1])
        log_unavailable(logging.getLogger("htmx_live.tests"), caught.value, "writes", "Nothing was written")
        assert connection.call("GET", "k") == "1"
        clock.advance(5)
    server.client().config_set("maxmemory", 0)
    clock.advance(REFUSAL_RESET_AFTER)
    connection.run(script, ["k"], [2])
    refused, well = [record.getMessage() for record in caplog.records]
    assert "refused a call: " in refused
    assert "refuses no more calls after " in well and well.endswith("failed meanwhile: 20 writes")


def test_what_one_key_is_refused_is_logged_by_the_caller(
    connection: RedisConnection, caplog: pytest.LogCaptureFixture
) -> None:
    connection.call("SET", connection.key("text"), "a")
    with pytest.raises(StoreUnavailable) as caught:
        connection.call("LPUSH", connection.key("text"), "b")
    log_unavailable(logging.getLogger("htmx_live.tests"), caught.value, "writes", "Nothing was written")
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["Nothing was written"]


def test_a_password_is_in_no_message() -> None:
    connection = RedisConnection("redis://user:secret@127.0.0.1:1/0", prefix="p:")
    with pytest.raises(StoreUnavailable) as caught:
        connection.call("PING")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1/0" in str(caught.value)


def test_the_process_has_one_connection(settings: object, redis_server: RedisServer) -> None:
    settings.HTMX_LIVE = {"REDIS_URL": redis_server.url}  # type: ignore[attr-defined]
    assert redis_connection() is redis_connection()
    assert redis_connection().key("a") == "htmx_live:a"


def test_redis_without_a_url_says_which_setting_is_missing(settings: object) -> None:
    settings.HTMX_LIVE = {}  # type: ignore[attr-defined]
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL"):
        redis_connection()
