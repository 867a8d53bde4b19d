"""Nodes that earlier versions made (tests/data/earlier-nodes): they open, verify, answer, go on, and are rebuilt.

``local``: samples, a split, two steps of a session, an assessment, an amendment, a derivation, an export, damage that
was mended, users who came and left, a rotated key. ``recovered``: the same node made again from a store, in the second
epoch of its log. ``hub``: a package that went from one node to another through a third one, as all three remember it.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.node.config import machine_name
from tests.cli.inside import said

DATA = Path(__file__).parents[2] / "data/earlier-nodes"


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account of its own."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))


def unpacked(name: str, folder: Path) -> dict[str, Any]:
    """The nodes of one of the archives, on this machine and in another folder; what is known of them."""
    with tarfile.open(DATA / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="tar")
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_bytes())
    for settings in [*folder.glob("node/node.toml"), *folder.glob("*/node/node.toml")]:
        text = settings.read_text("utf-8").replace(facts["root"], json.dumps(str(folder))[1:-1])
        settings.write_text(text.replace('machine = "vm"', f"machine = {json.dumps(machine_name())}"), "utf-8")
    return facts


def kinds(node: diadem.Node, package: str) -> set[str]:
    """What was done with a package; every step of it is proven."""
    report = node.custody(package)
    assert report.ok, [step for step in report.steps if str(step.verdict) != "proved"]
    return {str(step.kind) for step in report.steps}


def require_answers(node: diadem.Node, facts: dict[str, Any]) -> None:
    """All that was said of the packages is known."""
    known = {facts[name] for name in ("first", "grown", "other", "derived", "late") if name in facts}
    assert {str(row.id) for row in node.search("")} == known
    assert {str(row.id) for row in node.search("sample:Z-1")} == {facts[name] for name in ("first", "grown", "derived")}
    assert [row.id for row in node.search("sample:Z-1 verdict:accept")] == [facts["first"]]
    assert [row.id for row in node.search('"ZnO, April"')] == [facts["first"]]
    (story,) = node.samples.show("Z-1")
    assert "Z-1a" in str(story)
    assert [one.result for one in node.derivations(facts["first"])] == [facts["derived"]]
    assert {user.name: user.successor for user in node.users} == {"alice": "", "bob": "", "carol": "bob@hu-berlin"}
    assert kinds(node, facts["first"]) >= {"ingest", "replicate", "fixity", "assessment", "amendment", "handover"}
    assert kinds(node, facts["other"]) >= {"ingest", "replicate", "repair"}


@pytest.mark.parametrize("name", ["local", "recovered"])
def test_a_node_of_before_opens_and_goes_on(tmp_path: Path, name: str) -> None:
    facts = unpacked(name, tmp_path)
    with diadem.open_node(tmp_path / "node") as node:
        assert node.id == facts["node"]
        require_answers(node, facts)
        assert node.context.ledger.check() == ()
        for package in ("first", "grown", "other", "derived"):
            assert node.get(facts[package]).verify().ok
        node.restore(facts["first"], tmp_path / "back")
        assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["notes.txt", "scan 2.bin", "scan.bin"]
        (tmp_path / "back" / "new.bin").write_bytes(b"new" * 100)
        more = node.archive(tmp_path / "back", now=True)
        assert more.package.verify().ok
        node.assess(facts["other"], "limited", purpose="imaging", comment="drift")
        assert node.scrub().ok
        assert kinds(node, str(more.package.id)) >= {"ingest"}


@pytest.mark.parametrize("name", ["local", "recovered"])
def test_the_catalogue_of_a_node_of_before_is_rebuilt(tmp_path: Path, name: str) -> None:
    facts = unpacked(name, tmp_path)
    (tmp_path / "node" / "catalogue.sqlite").unlink()
    assert said("reindex", "--node", str(tmp_path / "node"))
    with diadem.open_node(tmp_path / "node") as node:
        require_answers(node, facts)


def test_a_node_of_before_is_recovered_from_its_store(tmp_path: Path) -> None:
    facts = unpacked("local", tmp_path)
    shutil.move(tmp_path / "node", tmp_path / "lost")
    file = next(tmp_path.glob("*recovery*"))
    with diadem.Node.recover(tmp_path / "node", tmp_path / "store", recovery_file=file) as node:
        require_answers(node, facts)


def test_chains_of_before_are_judged_offline(tmp_path: Path) -> None:
    facts = unpacked("recovered", tmp_path)
    with diadem.open_node(tmp_path / "node") as node:
        node.export_custody(facts["other"], tmp_path / "chain.json")
    assert diadem.verify_custody(tmp_path / "chain.json").ok


def test_what_went_through_a_hub_is_known_to_all_three(tmp_path: Path) -> None:
    facts = unpacked("hub", tmp_path)
    for name in ("hu-berlin", "nmi"):
        with diadem.open_node(tmp_path / name / "node") as node:
            assert kinds(node, facts["package"]) >= {"offer", "acceptance", "receipt", "closure", "relay", "transfer"}
            assert [str(transfer.state) for transfer in node.transfers] == ["closed"]
            assert {peer.name for peer in node.peers} == {"hu-berlin", "nmi", "oslo"} - {name}
            assert node.get(facts["package"]).verify().ok
            node.export_custody(facts["package"], tmp_path / f"{name}.json")
    report = diadem.verify_custody(tmp_path / "hu-berlin.json", tmp_path / "nmi.json")
    assert report.ok, report
    with diadem.open_node(tmp_path / "oslo" / "node") as hub:
        assert hub.context.ledger.check() == ()
        assert len(list(hub.context.ledger.of_kind("relay"))) == 1
