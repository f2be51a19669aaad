"""The connection to Redis, against a real one that is killed, frozen and started again."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from htmx_live.exceptions import StoreUnavailable
from htmx_live.redis_connection import PAUSE, RedisConnection, Script, redis_connection
from htmx_live.testing import ManualClock
from tests.redis_server import RedisServer


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
    clock.advance(PAUSE)
    assert connection.call("GET", connection.key("a")) is None


def test_only_one_caller_waits_for_a_frozen_redis(
    connection: RedisConnection, server: RedisServer, clock: ManualClock
) -> None:
    connection.call("PING")
    server.freeze()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        connection.call("PING")
    clock.advance(PAUSE)
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
    connection.heal()
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
