"""`diadem demo` as somebody runs it who has nothing yet: what it shows, what it leaves, that it can be run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diadem.cli.demo import MARK
from tests import zygote


@dataclass(frozen=True)
class Newcomer:
    """An account that has nothing of DIADEM, and the folder in which its commands are given."""

    home: Path
    place: Path

    def start(self, words: Sequence[str]) -> zygote.Process:
        left_out = ("DIADEM_", "XDG_")
        environment = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
        environment |= dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), str(self.home))
        command = [sys.executable, "-m", "diadem", *words]
        return zygote.start(command, cwd=self.place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def says(self, *words: str, code: int = 0) -> str:
        with self.start(words) as process:
            text = process.communicate()[0]
        assert process.returncode == code, text
        return text

    def says_json(self, *words: str) -> Any:
        return json.loads(self.says(*words, "--json"))


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    root = tmp_path_factory.mktemp("newcomer")
    for name in ("home", "place"):
        (root / name).mkdir()
    return Newcomer(root / "home", root / "place")


@pytest.fixture(scope="module")
def tour(newcomer: Newcomer) -> str:
    """What `diadem demo try` prints the first time."""
    return newcomer.says("demo", "try")


def test_it_shows_the_main_job(newcomer: Newcomer, tour: str) -> None:
    for shown in ("intact", "leaf-mismatch", "Signal2D", "diadem page try", "diadem demo try --remove"):
        assert shown in tour, shown
    assert (newcomer.place / "try" / "archive").is_dir()
    assert (newcomer.place / "try" / "session" / "haadf_overview.tif").is_file()


def test_its_node_has_something_to_find(newcomer: Newcomer, tour: str) -> None:
    assert tour
    found = newcomer.says_json("search", "HAADF sample:S-12 voltage=300kV", "--node", "try")
    assert found["total"] == 1
    names = [one["path"] for one in found["rows"][0]["matched"]]
    assert names == ["S-12 HAADF boundary.hspy", "S-12 HAADF overview.hspy"]
    assert newcomer.says_json("search", "HAADF voltage=300kV", "--node", "try")["total"] == 2
    assert newcomer.says_json("status", "--node", "try")["ok"], "two copies of everything"


def test_nothing_is_written_elsewhere(newcomer: Newcomer, tour: str) -> None:
    assert tour
    assert os.listdir(newcomer.place) == ["try"]
    assert not list(newcomer.home.rglob("node.txt")), "it is nobody's default node"
    assert all("cache" in str(path).lower() for path in newcomer.home.rglob("diadem")), "no settings, no keys"
    assert "there is no node yet" in newcomer.says("search", "HAADF", code=3)


def test_a_second_time_it_says_what_is_there(newcomer: Newcomer, tour: str) -> None:
    before = sorted(newcomer.place.rglob("*"))
    again = newcomer.says("demo", "try")
    assert "3 sessions" in again
    assert tour[tour.index("Next") :] == again[again.index("Next") :]
    assert [path for path in sorted(newcomer.place.rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]


@pytest.mark.program("the demo is run and stopped")
def test_one_that_was_stopped_begins_anew(newcomer: Newcomer) -> None:
    with newcomer.start(["demo", "cut"]) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("2  "):
                process.kill()
                break
    assert (newcomer.place / "cut" / "session").is_dir()
    assert "leaf-mismatch" in newcomer.says("demo", "cut")
    newcomer.says("demo", "cut", "--remove")
    assert not (newcomer.place / "cut").exists()


def test_it_removes_what_it_made_and_nothing_else(newcomer: Newcomer) -> None:
    own = newcomer.place / "own"
    own.mkdir()
    (own / "data.dat").write_text("years of work")
    assert "not empty" in newcomer.says("demo", "own", code=4)
    assert "not a demo" in newcomer.says("demo", "own", "--remove", code=4)
    (own / MARK).write_text("what it is")
    assert "not a demo" in newcomer.says("demo", "own", "--remove", code=4)
    assert (own / "data.dat").read_text() == "years of work"
    assert "not a demo" in newcomer.says("demo", "nowhere", "--remove", code=4)
    assert "is needed" in newcomer.says("demo", "--remove", code=2)
    (own / MARK).unlink()
    (own / "data.dat").unlink()
    own.rmdir()
