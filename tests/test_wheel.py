"""The built wheel, in an empty environment, from an empty folder."""

from __future__ import annotations

import faulthandler
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
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(target), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
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
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    demo = subprocess.run(
        [python, "-m", "diadem", "demo", "work"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Signal2D" in demo.stdout
    packed = subprocess.run(
        [python, "-m", "diadem", "pack", "work/session", "store", "--json"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {code for code in json.loads(packed.stdout)["issues"] if code != "truncated"}
