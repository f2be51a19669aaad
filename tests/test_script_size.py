"""The script that pages load stays small, and is made of the one that people read."""

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "static/htmx_live"
READABLE, SMALL = FOLDER / "htmx-live.js", FOLDER / "htmx-live.min.js"


def test_a_page_loads_at_most_ten_kilobytes_of_script() -> None:
    assert len(gzip.compress(SMALL.read_bytes(), mtime=0)) <= 10 * 1024


def test_the_small_script_is_made_of_the_readable_one() -> None:
    digest = hashlib.sha256(READABLE.read_bytes()).hexdigest()[:12]
    assert SMALL.read_text().startswith(f"/*{digest}*/"), "Run `make script` after a change of htmx-live.js."


@pytest.mark.processes
@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_a_script_parses(script: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "Install node (on Debian or Ubuntu: nodejs)."
    checked = subprocess.run([node, "--check", script], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
