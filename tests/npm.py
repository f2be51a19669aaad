"""Packages of npm that tests load into a page."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

__all__ = ["fetch"]


def fetch(package: str) -> Path:
    """Return the folder of ``package`` ("htmx.org@4.0.1"), which this machine fetches once."""
    place = Path(gettempdir()) / "htmx_live-npm" / re.sub(r"[^\w.-]", "_", package)
    if place.exists():
        return place
    npm = shutil.which("npm")
    assert npm, f"The tests need npm on the PATH: they load {package}. On Debian or Ubuntu: sudo apt-get install npm"
    place.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=place.parent) as folder:
        fetched = subprocess.run([npm, "pack", package], cwd=folder, capture_output=True, text=True)
        assert fetched.returncode == 0, f"npm cannot fetch {package}:\n{fetched.stderr}"
        shutil.unpack_archive(next(Path(folder).glob("*.tgz")), folder, "gztar", filter="data")
        try:
            (Path(folder) / "package").rename(place)  # at one stroke: another process may look
        except OSError:
            assert place.exists()  # another process was faster
    return place
