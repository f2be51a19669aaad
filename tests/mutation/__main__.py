"""``python -m tests.mutation``: see the package."""

import argparse
import gc
import random
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutants import Module, Mutant
from tests.mutation.processes import FAILED, HUNG, PASSED, Result, Tests

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
PLAIN = "not processes and not browser and not faults"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description="Change code; count what tests notice."
    )
    parser.add_argument("modules", nargs="+", metavar="htmx_live/module.py")
    parser.add_argument("--sample", type=int, default=300, help="mutants per module, at most (300)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample (1)")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="files or folders of tests (all)")
    parser.add_argument("--marks", default=PLAIN, help=f"which tests ({PLAIN})")
    parser.add_argument("--only", default="", help="mutants whose description contains this text")
    parser.add_argument("--at-least", type=float, default=90, help="the percentage that must be killed (90)")
    options = parser.parse_args()
    run = Run(options)
    status = pytest.main(["-q", "-s", "-p", "no:randomly", "-m", options.marks, *options.tests], plugins=[run])
    return int(status) or run.status


@dataclass
class Score:
    killed: int = 0
    hung: int = 0
    equivalent: int = 0
    survived: int = 0

    @property
    def percentage(self) -> float:
        killed = self.killed + self.hung
        return 100 * killed / ((killed + self.survived) or 1)

    def __str__(self) -> str:
        total = self.killed + self.hung + self.equivalent + self.survived
        return (
            f"{total} mutants, {self.killed} killed, {self.hung} hung, {self.survived} survived, "
            f"{self.equivalent} equivalent: {self.percentage:.1f} %"
        )


class Run:
    """A plugin of pytest that tries mutants where pytest would run the tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.modules = {name: Module(ROOT / name, name) for name in options.modules}
        self.scores = {name: Score() for name in self.modules}
        self.kills: Counter[str] = Counter()
        self.status = 0

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings  # pytest wants to import it first

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutation", deadline=None, database=None, derandomize=True, phases=phases)
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tests.heard(report)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.tests = Tests(session)
        try:
            self.tests.prepare()
            for name in self.tests.measure([str(module.path) for module in self.modules.values()]):
                self._complain(f"Fails without a mutant, and is left out: {name}")
            self._try_mutants()
            self._check_killers()
        finally:
            self.tests.close()
        for name, score in self.scores.items():
            print(f"{name}: {score}")
            if score.percentage < self.options.at_least:
                self.status = 1
        return True

    def _try_mutants(self) -> None:
        jobs = [mutant for name, module in self.modules.items() for mutant in self._chosen(name, module)]
        for module in self.modules.values():
            module.find_functions()
        gc.freeze()
        for number, (mutant, result) in enumerate(self.tests.each(jobs, self._try), 1):
            self._count(mutant, result)
            print(f"\r{number} of {len(jobs)}", end="", file=sys.stderr)
        print(file=sys.stderr)

    def _chosen(self, name: str, module: Module) -> list[Mutant]:
        mutants = module.mutants()
        listed = tomllib.loads(EQUIVALENT.read_text()).get(name, ())
        keys = {(name, entry["function"], entry["before"], entry["after"], entry.get("twin", 1)) for entry in listed}
        for key in keys - {mutant.key for mutant in mutants}:
            self._complain(f"{EQUIVALENT.name} lists a mutant that does not exist: {key}")
        chosen = random.Random(self.options.seed).sample(mutants, min(self.options.sample, len(mutants)))
        self.scores[name].equivalent = sum(mutant.key in keys for mutant in chosen)
        return [mutant for mutant in chosen if mutant.key not in keys and self.options.only in str(mutant)]

    def _try(self, mutant: Mutant, report: Path) -> None:
        module = self.modules[mutant.module]
        names = self.tests.reaching(str(module.path), mutant.lines)
        if names:
            module.swap(mutant)
            self.tests.run(sorted(names, key=lambda name: (-self.kills[name], self.tests.seconds[name])), report)

    def _count(self, mutant: Mutant, result: Result) -> None:
        score = self.scores[mutant.module]
        if result.status == FAILED:
            score.killed += 1
            self.kills[result.text] += 1
        elif result.status == HUNG:
            score.hung += 1
        elif result.status == PASSED:
            score.survived += 1
            path = str(self.modules[mutant.module].path)
            print(f"{mutant}\n    {len(self.tests.reaching(path, mutant.lines))} tests", flush=True)
        else:
            raise RuntimeError(f"{mutant}\n{result}")

    def _check_killers(self) -> None:
        """A test that fails alone, without a mutant, proves nothing."""
        for name, result in self.tests.each(self.kills, lambda name, report: self.tests.run([name], report)):
            if result.status != PASSED:
                self._complain(f"Fails alone, without a mutant, and has killed {self.kills[name]}: {name}")

    def _complain(self, text: str) -> None:
        print(text)
        self.status = 1


if __name__ == "__main__":
    sys.exit(main())
