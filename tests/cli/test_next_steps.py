"""Next steps that a command with ``--node`` prints, pasted into the same terminal: they act on that node."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import diadem
from diadem.node.open import remember_node
from diadem.node.terminal import node_option, with_node
from tests.cli.inside import said, said_json


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A node with one package that lies in one of its two stores; and the one that a bare command acts on."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DIADEM_NODE", raising=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("notes", encoding="utf-8")
    ours, default = tmp_path / "our lab", tmp_path / "default"
    for place in (ours, default):
        diadem.Node.create(
            place / "node", name=place.name[:3], user="anna", store=str(place / "store"), catalogue="file"
        ).close()
    remember_node(default / "node")
    with diadem.open_node(ours / "node") as node:
        node.archive(tmp_path / "notes", now=True)
        node.stores.add(str(ours / "second"), name="second")
    return ours / "node", default / "node"


def copies(node: Path) -> int:
    number = said_json("status", "--node", node, code=1)["totals"]["copies"]
    assert isinstance(number, int)
    return number


def paste(text: str, verb: str, *, code: int | None = 0) -> str:
    """Run the command of this name as it was printed: up to two spaces, a mark or the end of the line."""
    found = re.search(rf"diadem ({verb}(?: '[^']*'| [^\s;']+)*)", text)
    assert found is not None, text
    return said(*shlex.split(found[1]), code=code)


def test_what_a_light_says_mends_the_node_that_was_looked_at(labs: tuple[Path, Path]) -> None:
    node, default = labs
    light = said("status", "--node", node, code=1)
    assert copies(node) == 1
    actions = {one["command"] for one in said_json("status", "--node", node, code=1)["actions"]}
    assert "--node" not in " ".join(actions), "programs know which node they named"
    told = light.partition("What to do now\n")[2].splitlines()
    assert all(len(line) <= 100 or str(node) in line for line in told), light
    assert "copied" in paste(light, "repair", code=None), light
    assert copies(node) == 2
    assert "--node" not in said("status", "--node", default), "there a bare command acts anyway"


def test_what_an_error_says(labs: tuple[Path, Path]) -> None:
    node, _ = labs
    error = said("sample", "show", "S-12", "--node", node, code=3)
    paste(error, "sample add")
    assert "S-12" in said("sample", "ls", "--node", node)
    assert "no sample is defined" in said("sample", "ls")
    (node / "catalogue.sqlite").unlink()
    error = said("search", "--node", node, code=3)  # raised before the node is open
    assert "diadem reindex" in said_json("search", "--node", node, code=3)["error"]["next"]
    paste(error, "reindex")
    assert "notes" in said("search", "--node", node)


def test_the_variable_of_the_terminal_counts(labs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    node, default = labs
    monkeypatch.setenv("DIADEM_NODE", str(node))
    assert "--node" not in said("status", code=1)
    assert "--node" not in said("status", "--node", node, code=1)
    assert "--node" not in said("status", "--node", node.parent, code=1), "the folder around it means the same node"
    light = said("status", "--node", default)
    assert f"diadem archive --node {default} FOLDER" in light, light


@pytest.mark.parametrize("place", ["https://127.0.0.1:9", "me@host:/data", "s3://me:secret@bucket/x"])
def test_a_place_that_cannot_be_opened_keeps_its_error(
    labs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    assert "should not have happened" not in said("status", "--node", place, code=None)
    assert "secret" not in node_option(place)
    assert node_option("https://lab.example:8642/") == " --node https://lab.example:8642"
    monkeypatch.setenv("DIADEM_NODE", place)
    assert node_option(str(labs[0])) == f" --node '{labs[0]}'"


@pytest.mark.parametrize(
    "text",
    [
        "See: diadem status --node there   (another node needs a new or empty folder)",
        "See diadem watch plan --help.",
        "Ask the sender to run `diadem scrub` and `diadem repair`",
        "on the other side: diadem import FOLDER",
        "Ask whether `diadem serve` runs there.",
        "the session \"as diadem status said\" and 'diadem repair'",
        "diadem custody verify chain.json",
        "1  diadem search.ipynb   3 MB",
        "diadem init, diadem page or diadem login TICKET",
    ],
)
def test_what_is_for_others_stays(text: str) -> None:
    assert with_node(text, " --node here") == text


def test_each_command_of_a_text_is_meant() -> None:
    text = (
        "Ask the sender to run `diadem scrub`; then: diadem search 'diadem get' or diadem get ID (diadem transfer ls)"
    )
    said = "diadem search --node N 'diadem get' or diadem get --node N ID (diadem transfer ls --node N)"
    assert with_node(text, " --node N") == f"Ask the sender to run `diadem scrub`; then: {said}"


def test_a_new_node_is_named_where_the_terminal_means_another(
    labs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_RECOVERY_PASSPHRASE", "")
    words = ("--name", "new", "--user", "anna", "--store")
    assert "diadem archive FOLDER" in said("init", tmp_path / "first", *words, tmp_path / "first-store")
    monkeypatch.setenv("DIADEM_NODE", str(labs[0]))
    new = tmp_path / "new"
    told = said("init", new, *words, tmp_path / "new-store")
    assert f"diadem archive --node {new} FOLDER" in told
    error = said("init", new, "--confirm-recovery", code=4)
    (tmp_path / "new-recovery.txt").rename(tmp_path / "stick.txt")
    assert "confirmed" in paste(error, "init")
