"""The command line as a program sees it: exit codes, one JSON object, errors in one shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from diadem.testing.faults import flip_byte
from tests import zygote


def run(*arguments: object, code: int = 0) -> str:
    done = zygote.run([sys.executable, "-m", "diadem", *map(str, arguments)])
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def run_json(*arguments: object, code: int = 0) -> dict[str, Any]:
    found = json.loads(run(*arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "scan.dat").write_bytes(b"s" * 2_500_000)
    (folder / "notes.txt").write_text("notes")
    return folder


def test_pack_verify_and_get(session: Path, tmp_path: Path) -> None:
    packed = run_json("pack", session, tmp_path / "store")
    assert set(packed["package"]) == {"id", "payload_id", "path"}
    assert packed["status"] == "archived"
    again = run_json("pack", session, tmp_path / "store")
    assert again["status"] == "already archived"
    assert again["package"] == packed["package"]
    bag = Path(packed["package"]["path"])
    assert run_json("verify", bag)["ok"]
    assert run_json("get", bag, tmp_path / "back")["files"] == 2
    assert (tmp_path / "back" / "scan.dat").read_bytes() == (session / "scan.dat").read_bytes()
    assert "already archived" in run("pack", session, tmp_path / "store")


def test_a_flipped_byte_is_named(session: Path, tmp_path: Path) -> None:
    bag = Path(run_json("pack", session, tmp_path / "store")["package"]["path"])
    flip_byte(bag / "data" / "scan.dat", 1_500_000)
    report = run_json("verify", bag, code=1)
    finding = next(item for item in report["findings"] if item["severity"] == "error")
    assert (finding["path"], finding["leaf"], finding["range"]) == ("data/scan.dat", 1, [1 << 20, 2 << 20])
    assert "data/scan.dat" in run("verify", bag, "--level", "leaves", code=1)
    assert run_json("verify", bag, "--level", "quick")["ok"]


@pytest.mark.parametrize("change", ["delete", "add", "rename"])
def test_a_closed_world(session: Path, tmp_path: Path, change: str) -> None:
    bag = Path(run_json("pack", session, tmp_path / "store")["package"]["path"])
    (bag / "data").chmod(0o700)
    victim = bag / "data" / "notes.txt"
    if change == "delete":
        victim.unlink()
    elif change == "add":
        (bag / "data" / "new.txt").write_text("new")
    else:
        victim.rename(bag / "data" / "other.txt")
    report = run_json("verify", bag, code=1)
    expected = {"delete": "data/notes.txt", "add": "data/new.txt", "rename": "data/other.txt"}[change]
    assert expected in {finding["path"] for finding in report["findings"]}


def test_dry_run_writes_nothing(session: Path, tmp_path: Path) -> None:
    if sys.platform != "win32":
        (session / "link").symlink_to("scan.dat")
        (session / "100%.dat").write_bytes(b"1")
    code = 1 if sys.platform != "win32" else 0
    plan = run_json("pack", session, tmp_path / "store", "--dry-run", code=code)["plan"]
    assert not (tmp_path / "store").exists()
    assert plan["bytes"] == 2_500_005 + (1 if code else 0)
    if code:
        assert [item["path"] for item in plan["omitted"]] == ["link"]
        assert [item["original"] for item in plan["mapped"]] == ["100%.dat"]
    assert "would archive" in run("pack", session, tmp_path / "store", "--dry-run", code=code)


def test_metadata_files(session: Path, tmp_path: Path) -> None:
    (tmp_path / "meta.toml").write_text('[session]\ntitle = "ZnO"\ndate = "2026-03-14"\n[sample]\nname = "S-12"\n')
    packed = run_json("pack", session, tmp_path / "store", "--meta", tmp_path / "meta.toml")
    assert "20260314-zno-" in packed["package"]["path"]
    (tmp_path / "bad.json").write_text('{"sample": {"nam": "S-12"}}')
    error = run_json("pack", session, tmp_path / "other", "--meta", tmp_path / "bad.json", code=2)["error"]
    assert "nam" in error["message"]
    (tmp_path / "broken.json").write_text("{")
    assert run_json("pack", session, tmp_path / "other", "--meta", tmp_path / "broken.json", code=2)["error"]["where"]
    assert run_json("pack", session, tmp_path / "other", "--meta", tmp_path / "no.json", code=3)["error"]


def test_errors_have_one_shape_and_their_exit_code(session: Path, tmp_path: Path) -> None:
    for arguments, code in (
        (("pack", tmp_path / "absent", tmp_path / "store"), 3),
        (("pack", session), 2),
        (("verify", tmp_path / "absent"), 3),
        (("verify", session, "--level", "sideways"), 2),
        (("get", tmp_path / "absent", tmp_path / "back"), 3),
        (("nonsense",), 2),
    ):
        error = run_json(*arguments, code=code)["error"]
        assert set(error) == {"code", "message", "where", "next"}
        assert error["message"]


def test_an_empty_folder_is_refused_with_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no file" in run("pack", tmp_path / "empty", tmp_path / "store", code=2)


def test_a_folder_that_is_no_bag(session: Path) -> None:
    assert "not a bag" in run_json("verify", session, code=3)["error"]["message"]


def test_help_lists_the_verbs() -> None:
    for arguments in ((), ("--help",)):
        text = run(*arguments)
        assert all(verb in text for verb in ("demo", "scan", "verify", "get"))
    assert all(verb in run("help", "all") for verb in ("demo", "pack", "verify", "get", "extract"))
    assert run("--version").startswith("diadem ")


def test_extract(tmp_path: Path) -> None:
    from diadem.testing.samples import write_small_images

    (path,) = write_small_images(tmp_path / "images", 1)
    document = run_json("extract", path)
    assert document["datasets"][0]["signals"][0]["shape"] == [64, 64]
    assert "signal" in run("extract", path)
