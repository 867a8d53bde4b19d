"""Every benchmark runs, on data so small that its figures mean nothing, and tells what it should."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import pytest

from diadem.archive.package import Package
from diadem.testing.samples import write_session
from tests import failing_calls, zygote

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
pytestmark = pytest.mark.program("benchmarks are run")
TINY = ("--scale", "0.0005", "--rounds", "1", "--slow-rounds", "1")


def run(tmp_path: Path, script: str, *options: str, code: int = 0, fresh: bool = False) -> tuple[str, dict[str, Any]]:
    """Run a benchmark that ends with a code, in a fresh interpreter or not; what it printed, and what it kept."""
    report = tmp_path / "report.json"
    command = [sys.executable, str(BENCHMARKS / script), "--work", str(tmp_path / "work"), "--json", str(report)]
    started = partial(subprocess.run, capture_output=True, text=True, encoding="utf-8", check=False)
    done = (started if fresh else zygote.run)([*command, *options])
    assert done.returncode == code, done.stderr[-3000:] + done.stdout[-3000:]
    document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    machine = document["machine"]
    assert machine["commit"]
    assert machine["processor"]
    assert machine["date"].startswith("20")
    return done.stdout, document


@pytest.mark.parametrize("name", ["one", "small", "images"])
def test_pack(tmp_path: Path, name: str) -> None:
    rounds = 2 if name == "one" else 1
    printed, document = run(tmp_path, "pack.py", "--sets", name, *TINY, "--rounds", str(rounds))
    assert len(document["runs"][name]["diadem pack"]) == rounds
    for row in document["rows"]:
        assert row["ours"] > 0
        assert row["theirs"] > 0
        assert row["pairs"] >= 1
        assert row["what"] in printed


def test_verify(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "verify.py", "--sets", "many", *TINY)
    runs = document["runs"]["many"]
    assert {"diadem verify --level leaves", "diadem verify --level full", "verify(level='leaves')"} <= runs.keys()
    assert all(row["what"] in printed for row in document["rows"])


def test_read(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "read.py", "--slices", "2", *TINY)
    assert [one["where"] for one in document["slices"]] == ["local disk", "local disk"]
    assert all(one["proven_ms"] > 0 for one in document["slices"])
    assert "not measured" in printed


def test_scan(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "scan.py", *TINY)
    assert set(document["runs"]["scan"]) == {"rosettasciio, lazy", "first scan", "second scan"}
    assert all(row["ours"] > 0 and row["what"] in printed for row in document["rows"])


def test_memory(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "memory.py", *TINY)
    assert len(document["peaks"]) == 4
    for peaks in document["peaks"].values():
        assert all(peak is None or peak > 1e6 for peak in peaks.values())
    assert "| 100,000 × 1 KiB |" in printed


def test_imports(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "imports.py", *TINY)
    assert 0 < document["milliseconds"]["import diadem"] < 1000
    assert "diadem --help" in printed


def test_package_faults(tmp_path: Path) -> None:
    chosen = ("--parts", "kills,flips,sparse,many", "--seed", "20260314", "--count", "4", "--scale", "0.001")
    _, document = run(tmp_path, "package_faults.py", *chosen)
    parts = document["parts"]
    assert set(parts) == {"kills", "flips", "sparse", "many"}
    assert parts["kills"].get("absent", 0) + parts["kills"].get("complete", 0) == 4
    assert parts["flips"]["missed"] == 0
    assert all(part["broken"] == 0 for part in parts.values())
    assert document["seed"] == 20260314


@pytest.mark.skipif(bool(failing_calls.missing()), reason=failing_calls.missing() or "it can be tried")
def test_failing_calls(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "failing_calls.py", "--cases", "2", "--seed", "77")
    assert document["cases"] == sum(document["verbs"].values()) == 2
    assert document["broken"] == []
    assert "broken: 0" in printed


def test_extract(tmp_path: Path) -> None:
    session = tmp_path / "session"
    for path in write_session(session):
        if path.name not in ("eds_map.hspy", "eds_point.msa"):
            path.unlink()
    printed, document = run(tmp_path, "extract.py", "--data", str(session), *TINY)
    assert [row["peer"] for row in document["rows"]] == ["RosettaSciIO, lazy", "1 worker"]
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in document["rows"])
    assert "| eds_map.hspy | hspy |" in printed


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not say what a process has had")
def test_page(tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="the extra 'page' is not installed")
    printed, document = run(tmp_path, "page.py", *TINY)
    assert document["count"] == 50
    assert document["memory"] < 300e6
    assert all(0 < taken < 60 for taken, _, _ in document["searches"])
    assert "home, first byte" in printed


def true_values(folder: Path, kilovolts: float) -> str:
    """A spectrum at 200 kV, and what is said to be true of it."""
    folder.mkdir()
    text = "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#NPOINTS     : 2.0\n#NCOLUMNS    : 1.0\n"
    text += "#XUNITS      : eV\n#YUNITS      : Counts\n#DATATYPE    : Y\n#XPERCHAN    : 10.0\n#OFFSET      : 0.0\n"
    text += "#SIGNALTYPE  : EDS\n#BEAMKV   -kV: 200.0\n#LIVETIME  -s: 30.0\n#REALTIME  -s: 31.0\n"
    (folder / "point.msa").write_text(text + "#SPECTRUM    : Spectral Data Starts Here\n1.\n2.\n#ENDOFDATA   : \n")
    told = {"beam_energy_keV": {"value": kilovolts}, "operator": {"value": "Marie Curie"}, "columns": {"value": 1}}
    document = {"files": {"point.msa": {"format": "msa", "expected": told}}}
    (folder / "expected.json").write_text(json.dumps(document))
    return str(folder)


def test_accuracy(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    data = true_values(tmp_path / "data", 200.0)
    printed, document = run(tmp_path, "accuracy.py", "--data", data, "--markdown", str(page))
    verdicts = {one["key"]: one["verdict"] for one in document["verdicts"]}
    assert verdicts == {"beam_energy_keV": "right", "operator": "absent"}
    assert {one["field"]: one["verdict"] for one in document["sample"]}["eds.live_time"] == "confirmed"
    assert "`columns` (1)" in printed
    assert printed.strip() in page.read_text(encoding="utf-8")


def test_accuracy_that_is_not(tmp_path: Path) -> None:
    data = true_values(tmp_path / "data", 201.0)
    printed, document = run(tmp_path, "accuracy.py", "--data", data, code=1)
    assert [one["verdict"] for one in document["verdicts"]] == ["contradicted", "absent"]
    assert "| point.msa | beam_energy_keV | beam.acceleration_voltage | 201.0 | [200000.0] |" in printed


def test_accuracy_of_the_real_files(tmp_path: Path, shared_data: Path, corpus: Package) -> None:
    """At least 99 % of the true values are stated, and no other route through the files contradicts any value."""
    package = url2pathname(corpus.url.removeprefix("file://"))
    printed, document = run(tmp_path, "accuracy.py", "--data", str(shared_data), "--package", package)
    verdicts = [one["verdict"] for one in document["verdicts"]]
    assert verdicts.count("right") >= 0.99 * len(verdicts) > 500, printed[:30000]
    assert not [one for one in (*document["verdicts"], *document["beyond"]) if one["verdict"] == "contradicted"]
    assert len(document["beyond"]) > 500


def test_all_of_them(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--parts", "imports", "--json", str(tmp_path / "figures")]
    done = zygote.run([*command, *TINY])
    assert done.returncode == 0, done.stderr
    assert "## imports" in done.stdout
    assert (tmp_path / "figures" / "imports.json").exists()


def test_transfers_at_once(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "at_once.py", *TINY, "--many", "2", "--few", "1")
    assert "8 transfers of 1 MiB" in printed
    assert {"serve, hub", "serve, a", "serve, b", "serve, c", "serve, d", "accept, 3"} <= document["peaks"].keys()
    assert all(peak > 10e6 for peak in document["peaks"].values())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say what a process has used")
def test_a_transfer_is_measured_without_peers_that_cannot_be_started(tmp_path: Path) -> None:
    """The port of the ssh server is taken, so that it ends at once where it is installed."""
    with socket.socket() as taken:
        taken.bind(("", 10022))
        printed, document = run(tmp_path, "transfer.py", "--lines", "loopback", "--sets", "one", *TINY)
    series = document["runs"]["loopback one"]
    assert series["diadem"]
    assert not [name for name in series if "ssh" in name or "scp" in name]
    for peer in ("rsync over ssh", "scp", "rclone sftp"):
        assert f"left out: {peer} (" in printed


def test_hub(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "hub.py", *TINY)
    assert [row["what"].partition(",")[0] for row in document["rows"]] == ["send", "receive"]
    assert all(row["mib_s"] > 0 and row["peak_mb"] > 10 and row["hub_peak_mb"] > 10 for row in document["rows"])
    assert "| receive, one file of 4 GiB" in printed


def test_executors(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "executors.py", "--engine", "pool", "--count", "4", "--rounds", "1")
    assert {row["what"] for row in document["rows"]} >= {"the whole call", "package ids are equal"}
    assert document["rows"][-1]["met"] is True
    assert [one["workers"] for one in document["runs"]] == [1, 2]
    assert "Package ids: equal in all runs." in printed


@pytest.mark.skipif(sys.platform == "win32", reason="limits of memory are set as POSIX has them")
def test_no_parser_raises_what_is_no_error_of_ours(tmp_path: Path) -> None:
    seconds = os.environ.get("DIADEM_TEST_FUZZ_SECONDS", "15")
    options = ("--seconds", seconds, "--kept", str(tmp_path / "kept"))
    _, document = run(tmp_path, "fuzz_parsers.py", *options, fresh=True)  # which memory it takes counts
    assert document["faults"] == []
    assert document["rounds"] > 200
    assert 0 < document["peak bytes"] < 300e6


def test_pictures(tmp_path: Path) -> None:
    printed, document = run(tmp_path, "pictures.py", "--scale", "0.001")
    assert {row["file"] for row in document["pictures"]} == {"stack.mrc", "image.mrc", "scan.hspy", "thirty.hspy"}
    assert "the first picture" in printed


def test_site(tmp_path: Path, chromium: Any) -> None:
    printed, document = run(tmp_path, "site.py", "--count", "1100", fresh=True)
    assert "| catalogue of 1,100 sessions |" in printed
    assert 0 < sum(document["bytes"].values()) < 30e6 * 0.11 + 20_000
    assert len(document["searches"]) >= 39
    assert all(0 < seconds < 60 for seconds, _ in document["searches"])
