"""The health endpoint: 200 while state can be kept and messages sent, 503 otherwise, and nothing of anybody in it."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from htmx_live.backends import RedisBus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.backends.redis.store import RedisStore
from htmx_live.runtime.services import override_services
from tests.redis_server import RedisServer

URL = "/live/health/"
AWAY = {"store": "away", "bus": "away", "epoch": ""}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop or fill, as the parts of this process, which never pause after a failure."""
    with RedisServer(tmp_path) as server:
        connection = RedisConnection(server.url, prefix="health:", clock=itertools.count(step=10.0).__next__)
        with override_services(store=RedisStore(connection), bus=RedisBus(connection)):
            yield server
        connection.close()


def test_a_process_with_its_state_in_memory_is_well(client: Client) -> None:
    answer = client.get(URL)
    told = answer.json()
    assert (answer.status_code, told["store"], told["bus"]) == (200, "ok", "ok")
    assert re.fullmatch(r"[0-9a-f]{8}", told["epoch"])


def test_it_makes_no_session_asks_no_database_and_is_never_cached(client: Client) -> None:
    answer = client.get(URL)  # without the mark `django_db` a query would raise
    assert dict(answer.cookies) == {}
    assert "no-store" in answer["Cache-Control"]


def test_it_only_reads(client: Client) -> None:
    assert [client.head(URL).status_code, client.post(URL).status_code] == [200, 405]


@pytest.mark.processes
def test_two_processes_on_one_redis_tell_the_same_epoch(client: Client, own_redis: RedisServer) -> None:
    first = client.get(URL).json()["epoch"]
    other = RedisConnection(own_redis.url, prefix="health:")
    with override_services(store=RedisStore(other), bus=RedisBus(other)):
        assert client.get(URL).json() == {"store": "ok", "bus": "ok", "epoch": first}
    other.close()


@pytest.mark.processes
def test_without_its_redis_it_is_503_and_well_again_when_that_is_back(client: Client, own_redis: RedisServer) -> None:
    assert client.get(URL).status_code == 200
    own_redis.stop()
    answer = client.get(URL)
    assert (answer.status_code, answer.json()) == (503, AWAY)
    own_redis.start()
    assert client.get(URL).status_code == 200


@pytest.mark.processes
def test_a_redis_that_hangs_is_503(client: Client, own_redis: RedisServer) -> None:
    assert client.get(URL).status_code == 200
    own_redis.freeze()
    assert client.get(URL).json() == AWAY


@pytest.mark.processes
def test_a_full_redis_is_503_though_it_answers(client: Client, own_redis: RedisServer) -> None:
    assert client.get(URL).status_code == 200
    with own_redis.client() as admin:
        admin.config_set("maxmemory", "1")
    told: dict[str, Any] = client.get(URL).json()
    assert (client.get(URL).status_code, told["store"]) == (503, "away")
