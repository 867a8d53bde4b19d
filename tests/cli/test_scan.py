"""`diadem scan` as a person and a program see it: words, exit codes, outputs, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from diadem.testing.samples import write_session, write_small_images
from tests import zygote
from tests.archive.scan_trees import digest_of_tree, image, posix


def start(home: Path, *arguments: object, before: tuple[str, ...] = (), **more: Any) -> zygote.Process:
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "LOCALAPPDATA": str(home)}
    environment.update({name: str(value) for name, value in more.items()})
    return zygote.start(
        [*before, sys.executable, "-m", "diadem", "scan", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def run(home: Path, *arguments: object, code: int = 0, before: tuple[str, ...] = (), **more: Any) -> str:
    process = start(home, *arguments, before=before, **more)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out + err


def run_json(home: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    found = json.loads(run(home, *arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan") / "data" / "2026-03-14 ZnO S-12"
    write_session(folder)
    return folder


@pytest.fixture(scope="module")
def seen(session: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home whose cache knows the session, and what its first scan said."""
    home = tmp_path_factory.mktemp("seen") / "home"
    before = digest_of_tree(session.parent)
    found = run_json(home, session.parent)
    assert digest_of_tree(session.parent) == before
    return home, found


def test_words_at_every_width(seen: tuple[Path, Any], session: Path) -> None:
    for width in (60, 80, 120, 200):
        text = run(seen[0], session.parent, COLUMNS=width)
        assert all(len(line) <= width for line in text.splitlines())
        assert "…" not in text
        assert text.index("found") < text.index("Sessions") < text.index("Worth a look")
        flat = " ".join(text.split())
        assert "1 dataset: cut short" in flat
        assert "interrupted.mrc" in flat
        assert "ZnO S-12" in flat
        assert "nothing was written" in flat


def test_one_object(seen: tuple[Path, dict[str, Any]], session: Path) -> None:
    home, found = seen
    keys = {"roots", "complete", "totals", "sessions", "datasets", "duplicates", "single_copies", "issues", "archived"}
    assert keys <= set(found)
    assert found["totals"]["files"] == sum(path.is_file() for path in session.rglob("*"))
    (planned,) = found["sessions"]
    assert (planned["name"], planned["archive"]) == ("20260314-zno-s-12", True)
    eds = next(dataset for dataset in found["datasets"] if dataset["path"].endswith("eds_map.hspy"))
    assert (eds["voltage"], eds["shape"], eds["issues"]) == (200_000.0, [32, 32, 1024], [])
    assert (found["effort"]["read"], found["effort"]["cached"]) == (7, 0)
    assert run_json(home, session.parent)["effort"]["read"] == 0
    assert run_json(home, session.parent, "--no-cache")["effort"]["cached"] == 0


def test_outputs(seen: tuple[Path, Any], session: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("t.csv", "t.xlsx", "t.html", "plan.csv")]
    named = zip(("--csv", "--xlsx", "--html", "--plan"), outputs, strict=True)
    options = [item for pair in named for item in pair]
    text = run(seen[0], session.parent, *options, "-q", COLUMNS=200)
    for path in outputs:
        assert path.stat().st_size > 300
        assert f"written: {path}" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.csv", "t.csv", "t.html", "t.xlsx"]


def test_what_is_refused_is_refused_before_the_scan(home: Path, session: Path, tmp_path: Path) -> None:
    inside = session.parent / "table.csv"
    for arguments, code, word in (
        ((session.parent, "--csv", inside), 4, "writes nothing there"),
        ((session.parent, "--csv", tmp_path / "t.txt"), 2, "--csv writes .csv"),
        ((session.parent, "--html", tmp_path / "absent" / "t.html"), 2, "no such folder"),
        ((tmp_path / "absent",), 3, "no such folder"),
        ((session / "eds_map.hspy",), 2, "a file"),
        ((), 2, "FOLDER"),
    ):
        error = run_json(home, *arguments, code=code)["error"]
        assert word in error["message"], error
    assert not inside.exists()
    assert not home.exists()


@posix
def test_names_cannot_command_the_terminal(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    image(folder / "\x1b]0;owned\x07[bold red]x" / "\x1b[2J.hspy")
    (folder / "\x1b[31m.dm4").write_bytes(b"\x89PNG\r\n\x1a\n")
    text = run(home, folder, "--all", COLUMNS=160)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]x" in text


#: Takes root's right to read everything away.
_AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@posix
def test_a_tree_that_cannot_be_seen_whole_ends_with_1(home: Path, tmp_path: Path) -> None:
    before = _AS_OTHERS if os.geteuid() == 0 else ()
    if before and shutil.which(before[0]) is None:
        pytest.skip("root may read everything, and setpriv is not installed")
    folder = tmp_path / "data"
    image(folder / "closed" / "a.hspy")
    image(folder / "b.hspy")
    for name in ("c.txt", "d.txt"):
        (folder / name).write_text("twins")
    for name in ("closed", "b.hspy", "c.txt"):
        (folder / name).chmod(0)
    try:
        text = run(home, folder, before=before, code=1, COLUMNS=200)
    finally:
        (folder / "closed").chmod(0o700)
    assert "3 not seen" in text
    assert all(name in text[text.index("Not seen") :] for name in ("closed", "b.hspy", "c.txt"))
    assert "could be freed" not in text


def test_real_files(home: Path, shared_data: Path) -> None:
    text = run(home, shared_data, COLUMNS=100)
    assert "damaged or unreadable" in text
    assert "digitalmicrograph" in text
    assert "--all shows them" in text


@posix
@pytest.mark.program("a scan that lasts for seconds")
def test_ctrl_c_and_going_on(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    count = 400
    write_small_images(folder, count)
    process = start(home, folder, "--json")
    cache = home / "diadem" / "scan" / "scan-1.sqlite"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not cache.exists() or cache.stat().st_size < 60_000):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 6, out + err
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert "kept" in json.loads(out)["error"]["next"]
    assert "Traceback" not in err
    effort = run_json(home, folder)["effort"]
    assert effort["cached"] >= 100
    assert effort["read"] == count - effort["cached"]
    assert run_json(home, folder)["effort"]["read"] == 0
