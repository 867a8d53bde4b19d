"""What a person gets wrong, and what the command line says then: each advice can be pasted as it stands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from diadem.testing.samples import write_small_images
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


def pasted(text: str, word: str) -> list[str]:
    """The arguments of the first command of an advice that holds this word, as a shell would split them."""
    line = next(line for line in text.splitlines() if word in line)
    return shlex.split(line[line.index("diadem ") :].split("   ")[0])[1:]


def made(*options: object, code: int = 0) -> str:
    """What `init` says; name and user are given."""
    return said("init", *options, "--name", "lab", "--user", "a", code=code)


# -- making a node and adding a store ------------------------------------------------------------------------------


def test_a_file_is_no_store(lab: Lab) -> None:
    file = lab.root / "notes.txt"
    file.write_text("no folder")
    for place in (file, file / "below"):
        text = said("store", "add", place, "--node", lab.node.path, code=2)
        assert "a store is a folder, and this is a file" in text
        assert "should not have happened" not in text
    text = made(lab.root / "other", "--store", file, code=2)
    assert "a store is a folder" in text
    assert sorted(path.name for path in lab.root.iterdir()) == ["main", "node", "node-recovery.txt", "notes.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="a folder where nothing can be made")
def test_a_store_that_cannot_be_made_is_told_plainly(lab: Lab) -> None:
    text = said("store", "add", "/proc/x", "--node", lab.node.path, code=4)
    assert "cannot be made" in text


def test_a_server_as_scp_writes_it_is_no_folder(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = said("store", "add", "me@host:/data/x", "--node", lab.node.path, code=2)
    assert "Write sftp://me@host/data/x " in text
    assert "s3://bucket/x " in said("store", "add", "s3:bucket/x", "--node", lab.node.path, code=2)
    assert "sftp://host/data " in said("pack", lab.session("one"), "host:/data", code=2)
    assert made(tmp_path / "n", "--store", "host:/data", code=2)
    assert not list(tmp_path.glob("*host*"))
    said("store", "add", "./a:b", "--node", lab.node.path)  # a colon in a name of a folder is no address
    assert (tmp_path / "a:b").is_dir()


def test_init_looks_at_everything_before_it_asks_for_a_passphrase(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(what: str, variable: str) -> str:
        raise AssertionError(what)

    monkeypatch.setattr("diadem.cli.setup_commands.new_passphrase", asked)
    said("init", lab.root / "n", "--store", lab.root / "s", "--name", "My Lab", "--user", "a", code=2)
    made(lab.root / "n", "--store", "host:/data", code=2)
    text = made(lab.root / "n", "--store", lab.root / "main", code=4)
    assert pasted(text, "--recover")[-1] == "--node" or "store of the node 'hu-berlin'" in text
    (lab.root / "kept.txt").write_text("mine")
    text = made(lab.root / "n", "--store", lab.root / "s", "--recovery-file", lab.root / "kept.txt", code=4)
    assert "--recovery-file FILE" in text


# -- advice --------------------------------------------------------------------------------------------------------


def test_the_advice_about_several_sessions_can_be_pasted(lab: Lab) -> None:
    folder = lab.root / "my sess"
    for number, name in enumerate(("2026-03-14 ZnO", "2026-03-15 GaN"), 1):
        write_small_images(folder / name, number, seed=number)
    text = said("archive", folder, "--now", "--node", lab.node.path, code=4)
    assert pasted(text, "--split") == ["archive", str(folder), "--split"]
    assert f"diadem scan {shlex.quote(str(folder))} --plan" in text


def test_a_node_that_is_gone_is_not_a_node_that_never_was(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.node.close()
    lab.node.path.rename(lab.root / "elsewhere")
    monkeypatch.setenv("DIADEM_NODE", str(lab.root / "node"))
    text = said("status", code=3)
    assert "the node that was here is gone" in text
    assert "diadem init FOLDER --recover STORE --recovery-file FILE" in text
    again = [lab.root / "new", "--recover", lab.root / "main", "--recovery-file", lab.root / "node-recovery.txt"]
    assert said_json("init", *again)["name"] == "hu-berlin"


def test_a_scan_does_not_read_a_fresh_store(lab: Lab) -> None:
    found = said("scan", lab.root / "main", "--quiet")
    assert "1 store with 0 packages, left alone" in found
