"""live_asgi: what it takes for itself, what it hands on, and the lifespan conversation."""

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from htmx_live.asgi import live_asgi
from htmx_live.backends import MemoryBus, override_bus
from tests.http.gate import TrustingGate

PATH = "/live/stream/"


def scope(method: str = "GET", path: str = PATH, accept: str = "text/event-stream", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(b"accept", accept.encode()), (b"cookie", b"a=1"), (b"cookie", b"b=2")],
        **more,
    }


async def answer(application: Any, chosen: dict[str, Any], *messages: str) -> list[dict[str, Any]]:
    """What the application sends when it receives messages of these types."""
    waiting = [{"type": message} for message in messages]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with override_bus(MemoryBus()):
        await application(chosen, receive, send)
    return sent


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The application behind: it says that it was asked, and knows no lifespan, as Django."""
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan")
    await send({"type": "asked"})


@pytest.mark.urls("tests.http.urls")
@pytest.mark.parametrize(
    "chosen",
    [
        scope("HEAD"),
        scope("POST"),
        scope(accept="text/html"),
        scope(path="/other/"),
        scope(path="/nowhere/"),
        scope(path="/prefix" + PATH),
        {"type": "websocket", "path": PATH},
    ],
    ids=str,
)
def test_whatever_is_no_stream_goes_to_the_application_behind(chosen):
    assert asyncio.run(answer(live_asgi(behind, authorizer=TrustingGate()), chosen)) == [{"type": "asked"}]


@pytest.mark.urls("tests.http.urls")
@pytest.mark.parametrize("chosen", [scope(), scope(path="/prefix" + PATH, root_path="/prefix")], ids=["root", "prefix"])
def test_the_stream_is_found_under_its_url_wherever_the_project_is_mounted(chosen):
    sent = asyncio.run(answer(live_asgi(behind, authorizer=TrustingGate()), chosen))
    assert [message.get("status") for message in sent] == [404, None]  # the gate's answer to a request without a page


@pytest.mark.urls("tests.http.urls")
def test_the_gate_gets_headers_by_lower_case_name_with_cookies_joined():
    class RememberingGate(TrustingGate):
        def authorize(self, headers):
            self.headers = headers
            return super().authorize(headers)

    gate = RememberingGate()
    asyncio.run(answer(live_asgi(behind, authorizer=gate), scope()))
    assert gate.headers == {"accept": "text/event-stream", "cookie": "a=1; b=2"}


@pytest.mark.urls("tests.http.urls")
def test_a_client_that_leaves_is_no_error():
    left = asyncio.Event()
    chosen = scope()
    chosen["headers"].append((b"x-live-page", b"p"))

    async def scenario():
        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("more_body"):
                left.set()

        with override_bus(MemoryBus()):
            await live_asgi(behind, authorizer=TrustingGate())(chosen, receive, send)

    asyncio.run(scenario())


def test_lifespan_is_answered_for_an_application_without_one():
    sent = asyncio.run(answer(live_asgi(behind), {"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown"))
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


@pytest.mark.parametrize("ending", ["complete", "failed"])
def test_an_application_with_a_lifespan_has_its_say(ending):
    async def lively(scope, receive, send):
        assert await receive() == {"type": "lifespan.startup"}
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        await send({"type": f"lifespan.shutdown.{ending}", "message": "said"})

    sent = asyncio.run(answer(live_asgi(lively), {"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown"))
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": f"lifespan.shutdown.{ending}", "message": "said"}]


@override_settings(ROOT_URLCONF="tests.http.urls")
def test_without_a_gate_of_its_own_an_application_takes_the_packages():
    sent = asyncio.run(answer(live_asgi(behind), scope()))
    assert sent[0]["status"] == 404  # no grant
