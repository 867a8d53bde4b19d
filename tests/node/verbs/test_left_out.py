"""What cannot be archived is told each time, whether the rest is new, grown or archived already."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diadem.errors import Refused
from diadem.model.scan import PlannedSession
from tests import zygote
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

posix = pytest.mark.skipif(sys.platform == "win32", reason="making links needs rights on Windows")


@pytest.fixture
def session(lab: Lab) -> Path:
    """Three files, and a link."""
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    folder = lab.session("s")
    (folder / "link").symlink_to(lab.root / "elsewhere")
    return folder


@posix
def test_the_second_and_the_third_time_as_the_first(lab: Lab, session: Path) -> None:
    command = ("archive", session, "--now", "--node", lab.node.path)
    for what in ("new", "already", "already"):
        document = said_json(*command, code=1)
        assert (document["what"], [one["path"] for one in document["omitted"]]) == (what, ["link"])
    assert "LEFT OUT         link:" in said(*command, code=1)
    (session / "later.bin").write_bytes(b"later" * 100)
    for what in ("continuation", "already"):
        document = said_json(*command, code=1)
        assert (document["what"], [one["path"] for one in document["omitted"]]) == (what, ["link"])
    (session / "link").unlink()
    assert said_json(*command)["omitted"] == []


@posix
def test_all_or_nothing_is_meant_each_time(lab: Lab, session: Path) -> None:
    command = ("archive", session, "--now", "--node", lab.node.path)
    assert "link (symlink)" in said_json(*command, "--strict", code=4)["error"]["message"]
    said(*command, code=1)
    assert "link (symlink)" in said_json(*command, "--strict", code=4)["error"]["message"]
    (session / "link").unlink()
    assert said_json(*command, "--strict")["what"] == "already"


@posix
def test_of_many_sessions_each_tells_it_each_time(lab: Lab, session: Path) -> None:
    planned = PlannedSession("0" * 12, archive=True, title="s", date="", folder=str(session))
    for state in ("new", "already"):
        (one,) = lab.node.archive_all([planned], now=True)
        assert one.archived is not None
        assert (one.state, [item["path"] for item in one.to_dict()["omitted"]]) == (state, ["link"])
    (refused,) = lab.node.archive_all([planned], now=True, strict=True)
    assert isinstance(refused.error, Refused)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to read as one who may not read all")
def test_files_that_cannot_be_read_are_nothing_to_continue_with(lab: Lab) -> None:
    session = lab.session("s")
    (session / "secret.bin").write_bytes(b"secret")
    (session / "secret.bin").chmod(0)

    def run() -> subprocess.CompletedProcess[str]:
        # Root may read everything; without these capabilities it is a user like others.
        powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        command = [sys.executable, "-m", "diadem", "archive", str(session), "--now", "--node", str(lab.node.path)]
        return zygote.run([*powerless, *command])

    for what in ("archived  ", "already archived"):
        done = run()
        assert done.returncode == 1, done.stderr
        assert done.stdout.startswith(what)
        assert "LEFT OUT         secret.bin: Permission denied" in done.stdout
    (session / "secret.bin").chmod(0o600)
    found = lab.node.archive(session, now=True)
    assert (found.what, [entry.name for entry in found.package.files]) == ("continuation", ["secret.bin"])
