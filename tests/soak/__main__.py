"""``python -m tests.soak``: see the package."""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, cycle
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()  # what applies partials to a page is the package's own

from tests.faults.cluster import Worker  # noqa: E402
from tests.redis_server import RedisServer  # noqa: E402
from tests.server import ROOT, Server  # noqa: E402
from tests.soak.client import Outcome  # noqa: E402
from tests.soak.measures import TOLERANCE, Parts, Sample, Watch, diagnostics, excess, peak, table  # noqa: E402
from tests.soak.visits import visit  # noqa: E402

PREFIX = "soak:"


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, _site(Path(folder), options) as parts:
        run = Run(options, parts)
        asyncio.run(run.all())
        return run.report(sorted(Path(folder).glob("*.log")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="See CONTRIBUTING.md, Soak.")
    parser.add_argument("--minutes", type=float, default=20.0, help="of load, with the warm-up round (default: 20)")
    parser.add_argument("--store", choices=("memory", "redis"), default="memory")
    parser.add_argument("--rate", type=float, default=4.0, help="visits that begin in a second (default: 4)")
    parser.add_argument("--visitors", type=int, default=100, help="visits at one time at most (default: 100)")
    parser.add_argument("--round", type=float, default=60.0, help="seconds of a round (default: 60)")
    parser.add_argument("--rest", type=float, default=0.0, help="seconds of a rest (default: 90, in short runs 30)")
    parser.add_argument("--webs", type=int, default=1, help="web processes, with Redis (default: 1)")
    parser.add_argument("--celery", action="store_true", help="run jobs in a Celery worker, with Redis")
    parser.add_argument("--objects", action="store_true", help="show which types of objects have grown most")
    options = parser.parse_args()
    if options.store == "memory" and (options.webs > 1 or options.celery):
        parser.error("several processes need --store redis")
    is_short = options.minutes < 5
    options.round = min(options.round, options.minutes * 60 / 3)
    options.rest = options.rest or (30.0 if is_short else 90.0)
    return options


@contextmanager
def _site(folder: Path, options: argparse.Namespace) -> Iterator[Parts]:
    """The processes, with files of their own in ``folder``."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder)) if options.store == "redis" else None
        live = {"REDIS_URL": redis.url, "REDIS_PREFIX": PREFIX} if redis else {}
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.soak.settings",
            "SOAK_DATABASE": str(folder / "db.sqlite3"),
            "SOAK_LIVE": json.dumps({**live, **({"RUNNER": "celery"} if options.celery else {})}),
            "SOAK_BROKER": f"redis://127.0.0.1:{redis.port}/1" if redis else "",
            "PYTHONWARNINGS": "ignore",
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0", "--skip-checks"]
        subprocess.run(migrate, check=True, cwd=ROOT, env={**os.environ, **env})
        webs = [
            stack.enter_context(Server("tests.soak.asgi:application", log=folder / f"web-{number}.log", env=env))
            for number in range(options.webs)
        ]
        workers = [stack.enter_context(Worker(folder / "worker.log", env))] if options.celery else []
        yield Parts(
            webs={web.port: web.pid for web in webs},
            workers=[worker.pid for worker in workers],
            redis=redis.url if redis else "",
            prefix=PREFIX,
        )


class Run:
    """The schedule: a warm-up round, a rest, rounds until the time is over, a rest."""

    def __init__(self, options: argparse.Namespace, parts: Parts) -> None:
        self.options, self.parts = options, parts
        self.outcome, self.watch = Outcome(), Watch(parts)
        self.columns: dict[str, Sample] = {}
        self.grown: list[tuple[str, int]] = []
        self._numbers, self._ports = count(), cycle(parts.webs)

    async def all(self) -> None:
        options = self.options
        self.columns["start"] = await self.watch.sample()
        watching = asyncio.create_task(self.watch.run())
        _say(f"warm-up round of {options.round:.0f} s")
        await self._load(options.round, burst=options.visitors // 2)
        await asyncio.sleep(options.rest)  # for as long as anything is kept
        level = self.columns["after warm-up"] = await self.watch.sample()
        before = await self._objects()
        loaded_from = len(self.watch.samples)
        end = time.monotonic() + options.minutes * 60 - options.round
        while (left := end - time.monotonic()) > 0:
            _say(f"{left / 60:.1f} minutes of load left, {self.outcome.losses.total()} losses")
            await self._load(min(left, options.round))
        self.columns["peak"] = peak(self.watch.samples[loaded_from:])
        self.columns["end of load"] = await self.watch.sample()
        self.columns["after rest"] = await self._rest(level)
        self.grown = (Counter(await self._objects()) - Counter(before)).most_common(25)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _load(self, seconds: float, *, burst: int = 0) -> None:
        """Visits begin at their rate for so long, the first of them as a burst, and all of them end."""
        running, end = asyncio.Semaphore(self.options.visitors), time.monotonic() + seconds
        tasks = set()
        while time.monotonic() < end:
            await running.acquire()
            task = asyncio.create_task(visit(next(self._numbers), lambda: next(self._ports), self.outcome))
            tasks.add(task)
            task.add_done_callback(lambda task: (running.release(), tasks.discard(task)))
            burst -= 1
            if burst < 0:
                await asyncio.sleep(1 / self.options.rate)
        await asyncio.gather(*tasks)

    async def _rest(self, level: Sample) -> Sample:
        """Wait until everything is back at its level, for at most two rests."""
        _say("rest")
        give_up = time.monotonic() + 2 * self.options.rest
        while True:
            await asyncio.sleep(3)
            now = await self.watch.sample()
            if not excess(level, now) or time.monotonic() > give_up:
                return now

    async def _objects(self) -> dict[str, int]:
        if not self.options.objects:
            return {}
        found: Counter[str] = Counter()
        for port in self.parts.webs:
            found.update(await diagnostics(port, "objects", within=60))
        return dict(found)

    def report(self, logs: list[Path]) -> int:
        outcome, lines = self.outcome, _log_lines(logs)
        print("\n" + table(self.columns))
        print("\nVisits: " + ", ".join(f"{kind} {number}" for kind, number in sorted(outcome.visits.items())))
        answers = sorted(outcome.answers.items())
        print("Answers: " + ", ".join(f"{kind} {status} x {number}" for (kind, status), number in answers))
        print(f"Slowest answer: {outcome.slowest:.1f} s. Samples without diagnostics: {self.watch.silent}.")
        print(f"Idle connections that the server had closed, request sent again: {outcome.reused}.")
        print(f"Streams that were told to ask for everything: {outcome.resets}.")
        print("Log: " + (", ".join(f"{level} {number}" for level, number in sorted(lines.items())) or "empty"))
        for name, number in self.grown:
            print(f"  {number:+d} {name}")
        for example in outcome.examples:
            print(f"  {example[:600]}")
        failures = self._failures(lines)
        print("\n" + ("\n".join(failures) or f"Everything is within {TOLERANCE:.0%} of its level after the warm-up."))
        return 1 if failures else 0

    def _failures(self, lines: "Counter[str]") -> list[str]:
        found = excess(self.columns["after warm-up"], self.columns["after rest"])
        refused = self.outcome.refusals.total()
        if lost := self.outcome.losses.total():
            found.append(f"{lost} of {self.outcome.visits.total()} visits lost something: {dict(self.outcome.losses)}.")
        if refused:
            found.append(f"{refused} requests were answered with a status of 400 or more.")
        if errors := lines["ERROR"] + lines["CRITICAL"] + lines["traceback"]:
            found.append(f"The log has {errors} lines that tell of errors.")
        return found


def _log_lines(logs: list[Path]) -> "Counter[str]":
    """Lines by level; the first of each logger and level is printed."""
    levels: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for line in (line for log in logs for line in log.read_text(errors="replace").splitlines()):
        found = re.match(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b:? *([\w.]*)", line)
        if found:
            levels[found[1]] += 1
            kinds[f"{found[1]} {found[2]}"] += 1
            if kinds[f"{found[1]} {found[2]}"] <= 3:
                print(f"  {line[:300]}")
        elif line.startswith("Traceback"):
            levels["traceback"] += 1
    return levels


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
