"""A project made as a document says: its commands run and its files written, in the order in which they are read."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import ROOT, blocks
from tests.server import Server

__all__ = ["DevelopmentServer", "Project"]

# What this test run has done already, what needs the network, and what would not end by itself.
_NOT_RUN = ("python3 -m venv ", ". venv/", "python -m pip ", "uvicorn ", "celery ", "make ", "redis-server")


@dataclass(frozen=True, slots=True)
class Project:
    """``said`` is what each command answered."""

    folder: Path
    said: list[str] = field(default_factory=list)

    def follow(self, document: str) -> "Project":
        """Do what docs/``document`` says."""
        for block in blocks(ROOT / document):
            for command in block.commands:
                if not command.startswith(_NOT_RUN):
                    self.run(command)
            if block.path:
                self.write(block.path, block.text, is_addition=block.is_addition)
        return self

    def write(self, path: str, text: str, *, is_addition: bool = False) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.read_text() + "\n" + text if is_addition else text)

    def run(self, command: str) -> str:
        """What it says.  Python is ours, and settings of this test run are not handed on."""
        env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            command.split(), cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        self.said.append(done.stdout)
        return done.stdout


class DevelopmentServer(Server):
    """``manage.py runserver``, without its reloader."""

    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"]
