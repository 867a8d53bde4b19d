"""Twenty cases of the fault harness; `python -m tests.faults` does thousands, and repeats one by its seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import catalogues, zygote


@pytest.mark.program("twenty cases of faults in whole nodes")
@catalogues.in_a_file  # each case is a copy of one node, and all of them would have one schema
def test_every_promise_is_kept_in_twenty_cases(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = zygote.run([sys.executable, "-m", "tests.faults", "--cases", "20", "--seed", "1", "--json", report])
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    node = json.loads(report.read_text("utf-8"))["parts"]["node"]
    assert (node["cases"], node["broken"]) == (20, 0)
    assert sum(node["kinds"].values()) == 20
