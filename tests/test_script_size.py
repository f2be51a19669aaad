"""The browser script stays small and parses.

Measured is its code: comments and indentation are for readers.  A minifier takes it to about 6.1 KB.
"""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "static/htmx_live/htmx-live.js"


def code(script: str) -> str:
    """``script`` without comments, empty lines and indentation."""
    bare = re.sub(r"/\*\*.*?\*/", "", script, flags=re.DOTALL)
    bare = re.sub(r"(?<!\S)// .*", "", bare)
    return "\n".join(line.strip() for line in bare.split("\n") if line.strip())


def test_the_code_of_the_script_takes_at_most_seven_and_a_half_kilobytes() -> None:
    assert len(gzip.compress(code(SCRIPT.read_text()).encode(), mtime=0)) <= 7680


def test_the_script_parses() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    checked = subprocess.run([node, "--check", SCRIPT], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
