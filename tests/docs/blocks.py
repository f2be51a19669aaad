"""The code of the documentation: every fenced block, with what a reader would do with it."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "ROOT", "Block", "blocks"]

ROOT = Path(__file__).parents[2]
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:# |\{# )(?P<path>[\w/]+/[\w/]+\.(?:py|html))(?P<end>, at the end)?(?: #\})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of ``language`` that begins in this line of this document."""

    document: str
    line: int
    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that its first line names, or ""."""
        found = _FILE.fullmatch(self.text.partition("\n")[0].rstrip())
        return found["path"] if found else ""

    @property
    def is_addition(self) -> bool:
        """Whether it goes to the end of a file that is there."""
        found = _FILE.fullmatch(self.text.partition("\n")[0].rstrip())
        return bool(found and found["end"])

    @property
    def commands(self) -> list[str]:
        """What is typed into a console."""
        lines = self.text.splitlines() if self.language == "console" else []
        return [line[2:].partition("  #")[0].strip() for line in lines if line.startswith("$ ")]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Those of one document, in order."""
    source = path.read_text()
    for found in _FENCE.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        text = textwrap.dedent(found["text"])
        yield Block(document=path.name, line=line, language=found["language"], text=text)
