"""Measures: what the processes and Redis hold at one moment, and whether they came back to an earlier level."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

__all__ = ["TOLERANCE", "Parts", "Sample", "Watch", "excess", "table"]

INTERVAL = 3.0  # seconds between two samples
TOLERANCE = 0.10  # of the level after the warm-up round
# What may be there beyond it, for numbers that are small: a thread, a connection or a cache entry more is no leak.
SLACK = {"threads": 6, "descriptors": 12, "tasks": 4, "entries": 100, "keys": 40, "Redis MB": 1.0}

Sample = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The processes of a run: ``webs`` by port, and all by id; ``redis`` is a URL, "" without Redis."""

    webs: Mapping[int, int]  # port -> process id
    workers: Sequence[int]
    redis: str
    prefix: str


@dataclass(slots=True)
class Watch:
    """Takes samples while its block runs.  ``silent`` counts diagnostics that did not come within the interval."""

    parts: Parts
    samples: list[Sample] = field(default_factory=list)
    silent: int = 0

    async def run(self) -> None:
        while True:
            self.samples.append(await self.sample())
            await asyncio.sleep(INTERVAL)

    async def sample(self) -> Sample:
        found: Counter[str] = Counter()
        for process in (*self.parts.webs.values(), *self.parts.workers):
            found.update(_from_outside(process))
        for port in self.parts.webs:
            found.update(await self._from_inside(port))
        if self.parts.redis:
            found.update(await _of_redis(self.parts.redis, self.parts.prefix))
        return dict(found)

    async def _from_inside(self, port: int) -> Sample:
        try:
            told = await diagnostics(port, within=INTERVAL)
        except (TimeoutError, OSError, EOFError):
            self.silent += 1
            return {}
        containers = {f"entries: {name}": length for name, length in told["containers"].items()}
        threads = {f"threads: {name}": count for name, count in told["threads"].items()}
        return {"tasks": told["tasks"], "streams": told["streams"], **threads, **containers}


def excess(level: Sample, now: Sample) -> list[str]:
    """One sentence for each number that is above its level."""
    found = []
    for name, before in level.items():
        group = name.partition(":")[0]
        most = before * (1 + TOLERANCE) + SLACK.get(group, 0)
        if now.get(name, 0) > most and not name.startswith("threads:"):
            found.append(f"{name}: {_figure(now[name])} is above {_figure(most)}, the level was {_figure(before)}.")
    return found


def table(columns: Mapping[str, Sample]) -> str:
    """The numbers as rows; containers and keys only where they changed by more than a few."""
    names = sorted({name for sample in columns.values() for name in sample}, key=lambda name: (":" in name, name))
    rows = [["", *columns]]
    for name in names:
        figures = [sample.get(name, 0.0) for sample in columns.values()]
        if ":" not in name or max(figures) - min(figures) >= 10:
            rows.append([name, *map(_figure, figures)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def peak(samples: Iterable[Sample]) -> Sample:
    highest: Sample = {}
    for sample in samples:
        for name, value in sample.items():
            highest[name] = max(value, highest.get(name, 0.0))
    return highest


async def diagnostics(port: int, query: str = "", *, within: float = 10.0) -> Any:
    """What a web process says of itself; see ``tests.soak.diagnostics``."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET /diagnostics/?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.transport.abort()
    if b"transfer-encoding: chunked" in head.lower():
        body = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", body).removesuffix(b"\r\n\r\n")
    return json.loads(body)


def _from_outside(process: int) -> Sample:
    status = Path(f"/proc/{process}/status").read_text()
    return {
        "RSS MB": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024,
        "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
        "descriptors": len(os.listdir(f"/proc/{process}/fd")),
    }


async def _of_redis(url: str, prefix: str) -> Sample:
    async with Redis.from_url(url, decode_responses=True) as client:
        families: Counter[str] = Counter()
        async for key in client.scan_iter(match=f"{prefix}*", count=1000):
            families[_family(key.removeprefix(prefix))] += 1
        info = await client.info("memory")
    keys = {f"keys: {family}": count for family, count in families.items()}
    return {"keys": families.total(), "Redis MB": info["used_memory"] / 1_000_000, **keys}


def _family(key: str) -> str:
    words = key.split(":")
    return ":".join(words[:2]) if words[0] == "bus" else words[0]


def _figure(value: float) -> str:
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"
