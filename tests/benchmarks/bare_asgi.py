"""The least that a fan-out can cost as an ASGI application: what uvicorn takes for itself.

The same URLs as those of the bare server; an event wakes every stream, and each sends the same bytes.
"""

import asyncio
import json
import os

from tests.benchmarks.bare_server import resident

EVENT = b"id: 0123abcd.1\ndata: " + b"x" * 2048 + b"\n\n"
waiting: "list[asyncio.Future[None]]" = []


async def application(scope, receive, send):
    if scope["type"] == "http" and scope["path"] in ("/fire", "/census/"):
        await answer(scope["path"], send)
    elif scope["type"] == "http":
        await stream(receive, send)


async def answer(path, send):
    if path == "/fire":
        woken, waiting[:] = waiting[:], []
        for each in woken:
            if not each.done():
                each.set_result(None)
    body = json.dumps({"cpu": sum(os.times()[:2]), "memory": resident(), "threads": 1}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def stream(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
    watch = asyncio.create_task(until_gone(receive, asyncio.current_task()))
    try:
        while True:
            waiting.append(asyncio.get_running_loop().create_future())
            await waiting[-1]
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
    except asyncio.CancelledError:
        watch.cancel()


async def until_gone(receive, task):
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
