"""What a person gets wrong, and what the command line says then: each advice can be pasted as it stands."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from diadem.cli.output import progress
from diadem.model.ports import Progress
from diadem.testing.samples import write_small_images
from tests import catalogues
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, damage, lab
from tests.package.sample_bags import write_bag

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
    if sys.platform != "win32":  # elsewhere the name of a folder may have a colon
        said("store", "add", "./a:b", "--node", lab.node.path)
        assert (tmp_path / "a:b").is_dir()


def test_init_looks_at_everything_before_it_asks_for_a_passphrase(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(what: str, variable: str) -> str:
        raise AssertionError(what)

    monkeypatch.setattr("diadem.cli.setup.new_passphrase", asked)
    said("init", lab.root / "n", "--store", lab.root / "s", "--name", "My Lab", "--user", "a", code=2)
    made(lab.root / "n", "--store", "host:/data", code=2)
    text = made(lab.root / "n", "--store", lab.root / "main", code=4)
    assert "store of the node 'hu-berlin'" in text
    (lab.root / "kept.txt").write_text("mine")
    text = made(lab.root / "n", "--store", lab.root / "s", "--recovery-file", lab.root / "kept.txt", code=4)
    assert "--recovery-file FILE" in text


# -- advice --------------------------------------------------------------------------------------------------------


def test_the_advice_about_several_sessions_can_be_pasted(lab: Lab) -> None:
    folder = lab.root / "my sess"
    for number, name in enumerate(("2026-03-14 ZnO", "2026-03-15 GaN"), 1):
        write_small_images(folder / name, number, seed=number)
    text = said("archive", folder, "--now", "--node", lab.node.path, code=4)
    assert pasted(text, "--split") == ["archive", "--node", str(lab.node.path), str(folder), "--split"]
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


# -- naming a package ----------------------------------------------------------------------------------------------


def test_an_id_is_taken_as_it_is_printed_and_a_short_one_is_explained(lab: Lab) -> None:
    package = lab.archived("one", files=1, size=1)
    node = ("--node", lab.node.path)
    text = said("get", f"{package[:19]}…", lab.root / "out", *node)
    assert "1 file, 1 byte, each proven" in text
    said("verify", f"{package[7:19]}...", *node)
    text = said("get", package[7:11], lab.root / "out2", *node, code=3)
    assert "eight digits" in text
    assert "diadem search" in text
    text = said("get", package[:11], lab.root / "out2", *node, code=2)
    assert "at least 8 hex digits" in text


def test_scrub_and_repair_name_packages_by_their_titles(lab: Lab) -> None:
    package = lab.archived("zinc oxide")
    lab.add_second()
    node = ("--node", lab.node.path)
    assert f"{package[:19]}… zinc oxide to second" in said("repair", *node)
    damage(lab.path(package, "second") / "data/scan 0.bin")
    assert f"{package[:19]}… zinc oxide in second" in said("scrub", *node, code=1)
    assert f"{package[:19]}… zinc oxide in second" in said("repair", *node)


# -- codes ---------------------------------------------------------------------------------------------------------


def test_stores_that_are_away_are_not_nothing(lab: Lab) -> None:
    package = lab.archived("one")
    (lab.root / "main").rename(lab.root / "unplugged")
    node = ("--node", lab.node.path)
    said("get", package, lab.root / "out", *node, code=5)
    said("verify", package, *node, code=5)
    said("export", package, lab.root / "out.zip", "--for", "Marie", *node, code=5)
    text = said("watch", "--once", *node, code=5)
    assert "no store answers" in text
    assert "nothing to archive" not in text


# -- a sick node ---------------------------------------------------------------------------------------------------


@catalogues.in_a_file
@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_node_without_its_catalogue_can_be_looked_at(lab: Lab, how: str) -> None:
    package = lab.archived("one")
    lab.node.close()
    node = ("--node", lab.node.path)
    catalogue = lab.node.path / "catalogue.sqlite"
    catalogues.forget(lab.node.path)
    if how == "damaged":
        catalogue.write_bytes(b"no database" * 1000)
    found = {check["name"]: check for check in said_json("doctor", *node, code=1)["checks"]}
    assert [name for name, check in found.items() if check["verdict"] == "wrong"] == ["catalogue"]
    assert found["catalogue"]["next"].endswith("diadem reindex")
    assert "archive" in said("jobs", *node)
    error = said_json("status", *node, code=3 if how == "gone" else 1)["error"]
    assert error["next"].endswith("Run: diadem reindex")
    said("reindex", *node)
    assert said_json("search", *node)["rows"][0]["id"] == package
    said("doctor", *node)


def test_a_store_says_that_it_knows_no_users(lab: Lab) -> None:
    lab.archived("one")
    lab.node.close()
    assert "does not list the users" in said("user", "ls", "--node", lab.root / "main")


def test_a_key_of_the_metadata_that_is_not_known_is_named_with_the_nearest(lab: Lab) -> None:
    text = said("archive", lab.session("one"), "--now", "--set", "sampl.name=x", "--node", lab.node.path, code=2)
    assert "the key 'sampl' is not known" in text
    assert "Did you mean sample?" in text


# -- progress ------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_second_store_is_its_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress(quiet=False) as listener:
        for store in ("main", "second"):
            for done in range(0, 1001, 100):
                listener(Progress("scrub", done * 10**6, 1000 * 10**6, store))
                now[0] += 1.0
    text = capfd.readouterr().err
    assert "second" in text
    assert set(re.findall(r"[0-9.]+ MB/s", text)) == {"100 MB/s"}
    with progress(quiet=False) as listener:
        listener(Progress("read", 1, 1, "a", "datasets"))
    assert "1 of 1 dataset " in capfd.readouterr().err


# -- words of others -----------------------------------------------------------------------------------------------

#: A title of the window, colours, one of C1, and letters that are read from right to left.
EVIL = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202egnp"


@pytest.mark.skipif(sys.platform == "win32", reason="no such name can be made")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_nothing_that_is_printed_commands_a_terminal_or_turns_what_is_read(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = tmp_path / f"a{EVIL}"
    write_bag(folder, {"scan.bin": b"x"})
    manifest = folder / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text() + f"{'0' * 64}  data/../{EVIL}\n")
    for arguments, code in (
        (("verify", folder), 1),
        (("get", folder, tmp_path / "out"), None),
        (("scan", folder), None),
        (("extract", folder / EVIL), None),
        (("pack", folder, tmp_path / "store"), None),
        (("status", "--node", folder), None),
        (("nonsense" + EVIL,), 2),
    ):
        text = said(*arguments, *options, code=code)
        assert not {letter for letter in text if not letter.isprintable()} - {"\n"}, arguments
        if options:
            json.loads(text)


def test_a_second_node_says_that_commands_act_on_it_now(lab: Lab) -> None:
    first = made(lab.root / "one", "--store", lab.root / "s1")
    second = made(lab.root / "two", "--store", lab.root / "s2")
    assert "default " not in first
    assert f"it was {lab.root / 'one'}" in second
