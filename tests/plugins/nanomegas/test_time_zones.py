"""The record is the same wherever it is made: RosettaSciIO puts times of these formats into the zone it runs in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_FOLDERS = ("mib", "hspy", "zspy", "msa", "rpl", "mrc", "mdoc", "mrcz", "blo", "app5", "tvips", "prz")
_CODE = """
import json, sys
import diadem
if __name__ == "__main__":
    datasets = diadem.extract(sys.argv[1]).to_dict()["datasets"]
    print(json.dumps([[one["files"][0]["path"], one["fields"]] for one in datasets]))
"""


def _fields(folder: Path, script: Path, zone: str) -> Any:
    """Fields of all datasets of a folder, read by a process in a time zone."""
    environment = {**os.environ, "TZ": zone}
    told = subprocess.run(
        [sys.executable, str(script), str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints fields."""
    path = tmp_path_factory.mktemp("script") / "fields.py"
    path.write_text(_CODE)
    return path


def test_no_field_depends_on_the_zone(shared_data: Path, tmp_path: Path, script: Path) -> None:
    for name in _FOLDERS:
        shutil.copytree(shared_data / name, tmp_path / "data" / name)
    tokyo = _fields(tmp_path / "data", script, "Asia/Tokyo")
    newfoundland = _fields(tmp_path / "data", script, "America/St_Johns")
    assert tokyo == newfoundland
    times = [path for path, fields in tokyo if "time.acquired_start" in fields]
    assert len(times) >= 9
    assert len(tokyo) >= 19
