"""The archives that are published hold what they should, and nothing twice."""

import subprocess
import sys
import tarfile
from collections import Counter
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = "htmx_live/src/"  # of the script: its source map has them


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel made from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(archives: tuple[Path, Path]) -> ZipFile:
    return ZipFile(archives[1])


def _below(folder: str) -> set[str]:
    """The tracked kind of files below a folder of the repository: relative to it, no bytecode."""
    top = ROOT / folder
    files = (path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(top).as_posix() for path in files}


@pytest.mark.parametrize("folder", ["components", "static"])
def test_the_wheel_holds_every_file_of_the_top_level_folder(wheel: ZipFile, folder: str) -> None:
    prefix = f"htmx_live/{folder}/"
    held = {name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix)}
    assert held == {name for name in _below(folder) if not name.startswith(MODULES)}


@pytest.mark.parametrize("folder", ["locale", "templates"])
def test_the_wheel_holds_every_template_and_every_catalog(wheel: ZipFile, folder: str) -> None:
    assert {f"htmx_live/{folder}/{name}" for name in _below(f"htmx_live/{folder}")} <= set(wheel.namelist())


def test_the_wheel_holds_the_typing_marker(wheel: ZipFile) -> None:
    assert "htmx_live/py.typed" in wheel.namelist()


def test_the_wheel_holds_nothing_twice_and_nothing_beside_the_package(wheel: ZipFile) -> None:
    names = wheel.namelist()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {name.split("/")[0].split("-")[0] for name in names} == {"htmx_live"}


def test_the_source_archive_holds_tests_demo_documentation_and_licence(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        inside = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    folders = {"htmx_live", "components", "static", "tests", "demo", "docs"}
    assert inside >= {*folders, "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"}


def test_an_index_would_take_both_archives(archives: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *map(str, archives)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout.count("PASSED")) == (0, 2), checked.stdout + checked.stderr


def test_the_metadata_tells_the_licence_and_the_oldest_python(wheel: ZipFile) -> None:
    path = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = message_from_string(wheel.read(path).decode())
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("MIT", ">=3.11")
