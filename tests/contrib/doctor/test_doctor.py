"""manage.py live_doctor, sent to sites that are well and to sites that are not: real servers, Redis and proxies."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import StringIO
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from celery import Celery
from celery import _state as celery_state
from django.core.management import CommandError, call_command
from django.core.wsgi import get_wsgi_application

from htmx_live.backends import MemoryBus, RedisBus, override_bus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.contrib.doctor.probe import SiteAddress, negotiate_protocol
from htmx_live.contrib.doctor.report import Finding, check_clicks, check_redis_info, check_stream
from htmx_live.layouts import base as layouts
from tests.faults.proxy import FaultProxy
from tests.redis_server import RedisServer
from tests.server import Server, free_port

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def no_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site has none; those of other tests, whose URLs are not here, would be findings."""
    monkeypatch.setattr(layouts, "_registry", {})
    monkeypatch.setattr(layouts, "_layout_uses", {})


def doctor(url: str = "", **options: Any) -> list[str]:
    """Its lines, the last of which says what it ends with."""
    out = StringIO()
    try:
        call_command("live_doctor", url=url, stdout=out, **{"beats": 1, "patience": 2.0, **options})
    except CommandError as error:
        return [*out.getvalue().splitlines(), str(error)]
    return [*out.getvalue().splitlines(), "well"]


def about(subject: str, lines: list[str]) -> list[str]:
    """The lines on one subject, without it."""
    return [f"{line[:4].strip()} {line[17:]}" for line in lines if line[6:15].strip() == subject]


@contextmanager
def served(folder: Path, *, app: str = "application", **chosen: Any) -> Iterator[Server]:
    """The site in a process of its own."""
    env = {
        "TEST_HTMX_LIVE": json.dumps(chosen),
        "TEST_BROKER": NOWHERE,
        "DJANGO_SETTINGS_MODULE": "tests.jobs.celery.settings",
    }
    with Server(f"tests.contrib.doctor.site:{app}", log=folder / f"{free_port()}.log", env=env) as server:
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process that is set up well."""
    with served(tmp_path_factory.mktemp("site"), HEARTBEAT=0.5) as server:
        yield server


@pytest.fixture(autouse=True)
def own_bus() -> Iterator[None]:
    with override_bus(MemoryBus()):
        yield


@pytest.fixture(autouse=True)
def no_word_of_sqlite(settings: Any) -> None:
    """The database of the tests has default locking, which is right for one process."""
    settings.SILENCED_SYSTEM_CHECKS = ["htmx_live.W048"]


@pytest.fixture
def on_redis(tmp_path: Path, settings: Any) -> Iterator[RedisServer]:
    """A Redis that is set up well, in the settings of this process."""
    with RedisServer(tmp_path, durable=True) as redis:
        settings.HTMX_LIVE = {"REDIS_URL": redis.url}
        connection = RedisConnection(redis.url, prefix="htmx_live:")
        with override_bus(RedisBus(connection)):
            yield redis
        connection.close()


# A site that is well


@pytest.mark.processes
def test_a_site_on_redis_that_is_well_gets_nothing_but_ok(tmp_path: Path, on_redis: RedisServer) -> None:
    with served(tmp_path, REDIS_URL=on_redis.url, HEARTBEAT=0.5) as server:
        lines = doctor(server.url, beats=2)
    assert [line for line in lines if not line.startswith("OK")] == ["well"]
    assert about("Processes", lines) == ["OK All that answered share the Redis of this command."]
    assert about("Message", lines)[0].startswith("OK One from this process arrived after ")
    assert about("Heartbeat", lines)[0].startswith("OK 2 came, at most ")


@pytest.mark.processes
def test_one_process_is_well_and_told_what_it_cannot(site: Server) -> None:
    lines = doctor(site.url)
    assert [line[:15].strip() for line in lines if not line.startswith("OK")] == ["WARN  Message", "well"]


# What stands in the way


@pytest.mark.processes
def test_a_proxy_that_buffers_is_found(site: Server) -> None:
    with FaultProxy(site.port) as proxy:
        proxy.buffers = True
        [found] = about("Stream", doctor(proxy.url, patience=1.0))
    assert found.startswith("FAIL Nothing came for 1 s: something holds the answer back. → Let the proxy pass")


@pytest.mark.processes
def test_a_proxy_that_cuts_idle_connections_is_found(tmp_path: Path) -> None:
    with served(tmp_path, HEARTBEAT=60.0) as server, FaultProxy(server.port) as proxy:
        proxy.idle_limit = 1.5
        lines = doctor(proxy.url, patience=1.0)
    [found] = about("Heartbeat", lines)
    assert found.startswith("FAIL The connection was cut after ") and "set HEARTBEAT below it" in found


def test_wsgi_is_found() -> None:
    with _wsgi_server() as url:
        lines = doctor(url)
    [found] = about("Stream", lines)
    assert found.startswith("WARN WSGI: pages poll every 3 s")
    assert lines[-1] == "well"  # it works, slower


@pytest.mark.processes
def test_a_server_without_live_asgi_is_found(tmp_path: Path) -> None:
    with served(tmp_path, app="plain", HEARTBEAT=0.5) as server:
        found = about("Headers", doctor(server.url))
    assert found[0].startswith("WARN The stream seems to have passed through Django's middlewares")


@pytest.mark.processes
def test_processes_that_keep_views_in_their_own_memory_are_found(tmp_path: Path, site: Server) -> None:
    with served(tmp_path) as other, FaultProxy(site.port, other.port) as proxy:
        lines = doctor(proxy.url, beats=0)
    [found] = about("Processes", lines)
    assert found.startswith("FAIL 2 web processes answer, and each keeps live views in its own memory")
    assert lines[-1].endswith("findings must be put right.")


@pytest.mark.processes
def test_a_site_on_another_redis_is_found(tmp_path: Path, on_redis: RedisServer) -> None:
    with served(tmp_path, REDIS_URL=on_redis.url, REDIS_PREFIX="other:") as server:
        lines = doctor(server.url, beats=0)
    assert about("Processes", lines)[0].startswith("FAIL The web processes use another Redis")
    assert about("Message", lines)[0].startswith("FAIL One from this process did not arrive.")


@pytest.mark.processes
def test_a_server_with_another_secret_key_is_found(site: Server, settings: Any) -> None:
    settings.SECRET_KEY = "another one"
    [found] = about("Stream", doctor(site.url))
    assert found.startswith("FAIL It was refused with 404. → Give this command and the server the same SECRET_KEY")


def test_a_site_that_cannot_be_reached_is_found() -> None:
    lines = doctor(f"http://127.0.0.1:{free_port()}")
    assert about("Site", lines)[0].endswith("→ Is the server running there?")


def test_an_address_that_is_none_is_refused_at_once() -> None:
    assert doctor("example.com") == ["--url is 'example.com'. Write it with http:// or https://."]


def test_what_system_checks_find_is_among_the_findings(settings: Any) -> None:
    settings.HTMX_LIVE = {"HEARTBEAT": 90.0}
    assert about("Settings", doctor())[0].startswith("WARN htmx_live.W007: HEARTBEAT is 90.0 s")


def test_what_the_project_has_silenced_is_not(settings: Any) -> None:
    settings.HTMX_LIVE = {"HEARTBEAT": 90.0}
    settings.SILENCED_SYSTEM_CHECKS += ["htmx_live.W007"]
    assert about("Settings", doctor()) == ["OK No system check of htmx_live found anything."]


# What a stream may look like; these servers say the same to everybody

_OK = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_HELLO = 'retry: 1000\nevent: hello\ndata: {"heartbeat": 0.2}\n\n: \nid: a.1\n\n'


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<form>", "FAIL Stream The answer is text/html."),
        ("HTTP/1.1 503 Gone\r\n\r\n", "FAIL Stream It was refused with 503."),
        ("", "FAIL Stream It was cut before it began:"),
        (_OK + "Content-Encoding: gzip\r\n\r\n", "FAIL Headers The stream is compressed (gzip)"),
        (_OK + "\r\n", "FAIL Stream It opened after"),
        (_OK + "\r\n" + _HELLO, "FAIL Heartbeat The connection was cut"),
        (_OK + "\r\n" + _HELLO + ": \n" * 3 + "wait", "OK Heartbeat 3 came"),
        (_OK + "\r\n" + _HELLO + ": \nwait", "FAIL Heartbeat Heartbeat 2 did not come"),
    ],
)
def test_what_a_stream_lacks_is_found(said: str, found: str) -> None:
    with _saying(said) as url:
        findings = list(check_stream(SiteAddress(url=url, timeout=0.4), heartbeats=3))
    assert found in [f"{one.level} {one.subject} {one.text}"[: len(found)] for one in findings]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("HTTP/1.1 204 No Content\r\n\r\n", "OK They pass"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "FAIL A POST with the origin "),
        ("HTTP/1.1 405 Not Allowed\r\n\r\n", "FAIL A POST is answered 405."),
        ("", "FAIL A POST got no answer:"),
    ],
)
def test_clicks_that_do_not_pass_are_found(said: str, found: str) -> None:
    with _saying(said) as url:
        finding = check_clicks(SiteAddress(url=url))
    assert f"{finding.level} {finding.text}"[: len(found)] == found


@pytest.mark.processes
def test_clicks_at_an_address_that_django_does_not_take_for_its_own_are_found(site: Server) -> None:
    with _renaming(site.port) as url:
        finding = check_clicks(SiteAddress(url=url))
    assert finding.text.startswith(f"A POST with the origin {url} is refused")


@pytest.mark.processes
@pytest.mark.parametrize(("offered", "level"), [("h2", "h2"), ("http/1.1", "http/1.1")])
def test_the_protocol_that_browsers_would_get_is_known(tmp_path: Path, offered: str, level: str) -> None:
    with _tls_server(tmp_path, offered) as url:
        assert negotiate_protocol(SiteAddress(url=url, verifies_certificate=False)) == level


@pytest.mark.processes
def test_a_certificate_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with _tls_server(tmp_path, "h2") as url, pytest.raises(ssl.SSLCertVerificationError):
        negotiate_protocol(SiteAddress(url=url))


# Redis and workers


@pytest.mark.processes
def test_a_redis_that_is_away_is_found_and_what_it_does_to_the_site(tmp_path: Path, on_redis: RedisServer) -> None:
    with served(tmp_path, REDIS_URL=on_redis.url) as server:
        on_redis.stop()
        lines = doctor(server.url)
        on_redis.start()
    assert about("Redis", lines)[0].startswith(f"FAIL Redis at {on_redis.url} does not answer")
    assert about("Site", lines)[0].startswith(f"FAIL {server.url} answers, but its store is away")
    assert about("Stream", lines)[0].startswith("FAIL It was refused with 503.")


WELL = {"redis_version": "7.0.15", "aof_enabled": 1, "role": "master", "maxmemory": 0, "used_memory": 1_000_000}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, []),
        ({"redis_version": "6.0.16"}, ["FAIL It is version 6.0.16."]),
        ({"cluster_enabled": 1}, ["FAIL It is a cluster, on which one script cannot reach all keys."]),
        ({"role": "slave"}, ["FAIL It is a replica, which cannot be written to."]),
        (
            {"maxmemory": 1_100_000, "maxmemory_policy": "noeviction"},
            ["WARN 91% of its memory is used; when it is full, clicks get 503."],
        ),
        (
            {"maxmemory": 9_000_000, "maxmemory_policy": "allkeys-lru"},
            ["WARN maxmemory-policy is allkeys-lru: when it is full, open pages lose their state without a word."],
        ),
        (
            {"aof_enabled": 0, "rdb_last_bgsave_status": "err"},
            ["FAIL Its last snapshot failed; by default it then refuses to be written to."],
        ),
    ],
)
def test_what_redis_tells_of_itself_is_judged(told: dict[str, Any], expected: list[str]) -> None:
    assert _wrong(check_redis_info({**WELL, **told})) == expected


def test_the_redis_of_the_tests_is_judged_as_it_is(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        [found] = _wrong(check_redis_info(client.info()))
    assert found.startswith("WARN It keeps no log on disk")


@pytest.fixture
def celery_app(on_redis: RedisServer, settings: Any) -> Iterator[Celery]:
    settings.HTMX_LIVE = {"REDIS_URL": on_redis.url, "RUNNER": "celery"}
    before = celery_state._tls.current_app
    app = Celery("doctor", broker=f"{on_redis.url[:-1]}1")
    yield app
    app.close()
    celery_state._set_current_app(before)


@pytest.mark.processes
def test_no_worker_is_found(celery_app: Celery) -> None:
    [found] = about("Jobs", doctor())
    assert found.startswith("FAIL No Celery worker answered within 2 s: jobs wait, and their pages say so. → Start one")


@pytest.mark.processes
def test_a_broker_that_is_away_is_found(celery_app: Celery) -> None:
    celery_app.conf.broker_url = NOWHERE
    [found] = about("Jobs", doctor())
    assert found.startswith("FAIL Celery's broker ")


def _wrong(findings: Iterator[Finding]) -> list[str]:
    return [f"{one.level} {one.text}" for one in findings if one.level != "OK"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None: ...


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def _wsgi_server() -> Iterator[str]:
    """This process's Django under wsgiref."""
    with make_server("127.0.0.1", 0, get_wsgi_application(), _Threads, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def _listening(answer: Any) -> Iterator[int]:
    """A port on which ``answer(connection)`` answers each connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def _saying(text: str) -> Iterator[str]:
    """A server that says this and hangs up; after "wait" only when it is hung up on."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(text.removesuffix("wait").encode())
        if text.endswith("wait"):
            connection.recv(1)

    with _listening(answer) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _renaming(port: int) -> Iterator[str]:
    """A proxy that tells the server another host than browsers ask for, as one without a Host header's setting does."""

    def answer(connection: socket.socket) -> None:
        asked = connection.recv(65_536).decode()
        with socket.create_connection(("127.0.0.1", port)) as there:
            there.sendall(re.sub(r"(?m)^Host: .*\r$", "Host: upstream\r", asked).encode())
            while piece := there.recv(65_536):
                connection.sendall(piece)

    with _listening(answer) as own:
        yield f"http://127.0.0.1:{own}"


@contextmanager
def _tls_server(folder: Path, offered: str) -> Iterator[str]:
    """A server that speaks TLS and offers one protocol."""
    names = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", "/CN=localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *key, "-days", "1", *names]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.set_alpn_protocols([offered])

    def answer(connection: socket.socket) -> None:
        with suppress(OSError):  # a client that does not trust us
            context.wrap_socket(connection, server_side=True).close()

    with _listening(answer) as port:
        yield f"https://127.0.0.1:{port}"
