"""The built wheel, from an empty folder: with what is installed here, and in an empty environment."""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    faulthandler.cancel_dump_traceback_later()  # a slow package index is no deadlock
    target = tmp_path_factory.mktemp("dist")
    offline = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", *offline, "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached to build in isolation")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = target.glob("*.whl")  # made from the source distribution, which is thereby proven whole
    return path


def test_the_wheel_ships_schemas_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "schemas").rglob("*.json"):
        assert f"diadem/schemas/{path.relative_to(ROOT / 'schemas').as_posix()}" in names
    assert {"diadem/py.typed", "diadem/__init__.pyi"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_it_runs_outside_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*command, "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    runs(tmp_path, sys.executable, {"PYTHONPATH": str(site)}, found=site)


@pytest.mark.program
def test_it_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    faulthandler.cancel_dump_traceback_later()
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-compile", str(wheel)]  # few of the thousands of modules are imported
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stderr:
        pytest.skip("no package index can be reached to install the dependencies")
    assert done.returncode == 0, done.stderr
    runs(tmp_path, python, {}, found=place)


def runs(tmp_path: Path, python: Path | str, variables: dict[str, str], *, found: Path) -> None:
    """Run the demo and archive its session, from an empty folder, with the package that is found in a folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables

    def said(*words: str) -> str:
        done = subprocess.run([python, *words], cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert said("-c", "import diadem; print(diadem.__file__)").startswith(str(found))
    assert "Signal2D" in said("-m", "diadem", "demo", "work")
    packed = json.loads(said("-m", "diadem", "pack", "work/session", "store", "--json"))
    assert not {code for code in packed["issues"] if code != "truncated"}
