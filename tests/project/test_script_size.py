"""The scripts that pages load stay small, and are built from the modules in src/."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import FileSystemStorage

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "static/htmx_live"
BUILT = sorted(path.name for path in FOLDER.glob("*.js"))


def _contents(folder: Path) -> dict[str, str]:
    """The built files and their source maps."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".js", ".map")}


def _modules(script: str) -> dict[str, str]:
    """The modules that a script was built from, as its source map has them."""
    source_map = json.loads((FOLDER / f"{script}.map").read_text())
    return dict(zip(source_map["sources"], source_map["sourcesContent"], strict=True))


def test_a_page_loads_at_most_ten_kilobytes_of_script() -> None:
    assert len(gzip.compress((FOLDER / "htmx-live.js").read_bytes(), mtime=0)) <= 10 * 1024


@pytest.mark.parametrize("script", BUILT)
def test_a_script_is_built_from_the_present_modules(script: str) -> None:
    modules = _modules(script)
    present = {name: (FOLDER / name).read_text() for name in modules}
    assert modules == present, "Run `make script` after a change in src/."


def test_each_module_is_part_of_a_script() -> None:
    assert {name for script in BUILT for name in _modules(script)} == {
        f"src/{path.name}" for path in FOLDER.glob("src/*.js")
    }


@pytest.mark.processes
def test_building_the_scripts_again_changes_nothing(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "src", tmp_path / "src")
    command = ["make", "script", f"STATIC={tmp_path}"]
    built = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert _contents(tmp_path) == _contents(FOLDER), "Run `make script` after a change in src/ or of esbuild's version."


def test_hashed_names_of_static_files_keep_the_source_maps(tmp_path: Path) -> None:
    names = [*BUILT, *(f"{name}.map" for name in BUILT)]
    storage = ManifestStaticFilesStorage(location=tmp_path, base_url="/static/")
    for name in names:
        shutil.copy(FOLDER / name, tmp_path)
    processed = list(storage.post_process({name: (FileSystemStorage(tmp_path), name) for name in names}))
    assert [error for *_, error in processed if isinstance(error, Exception)] == []
    for name in BUILT:
        last_line = (tmp_path / storage.stored_name(name)).read_text().splitlines()[-1]
        assert last_line == f"//# sourceMappingURL={storage.stored_name(name + '.map')}"
