"""A store read from another PC: everything that reads works, everything that writes names the machine to work on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import NotFound, Refused, Unreachable
from diadem.node.node import Node
from diadem.testing.samples import write_small_images
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its size and time."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab, seen from another PC: two sessions are archived, and the node's own folder is not there."""
    write_small_images(lab.root / "images", 2)
    lab.node.archive(lab.root / "images", now=True, metadata={"sample": {"name": "S-12"}})
    lab.archived("s")
    lab.node.close()
    lab.node.path.rename(lab.root / "on another machine")
    monkeypatch.setenv("DIADEM_MACHINE", "other-pc")
    return lab


def test_what_reads_works(away: Lab, tmp_path: Path) -> None:
    store = away.root / "main"
    before = tree(store)
    with diadem.open_node(store) as node:
        assert (node.name, node.context.writable) == ("hu-berlin", False)
        (row,) = node.search("sample:S-12").rows
        assert node.search().total == 2
        package = node.get(row.id[:20])
        assert package.verify().ok
        signal = package.load("frame_00000.tif", lazy=False)
        assert signal.data.shape == (64, 64)
        package.restore(tmp_path / "back")
        assert len(list((tmp_path / "back").iterdir())) == 2
    assert said_json("search", "sample:S-12", "--node", store)["total"] == 1
    assert said_json("verify", row.id, "--node", store)["ok"]
    assert said_json("get", row.id, tmp_path / "again", "--node", store)["files"] == 2
    assert tree(store) == before


def _sheet(folder: Path, text: str) -> Path:
    """A sheet beside the session, not in it."""
    path = folder.with_name("sheet.csv")
    path.write_text(text)
    return path


WRITING: dict[str, Callable[[Node, Path, str], Any]] = {
    "archive": lambda node, folder, _: node.archive(folder, now=True),
    "archive_all": lambda node, folder, _: list(node.archive_all(folder, now=True)),
    "in-place": lambda node, folder, _: node.archive(folder, now=True, in_place=True),
    "watch": lambda node, _, __: list(node.watch(once=True)),
    "rescan": lambda node, _, __: list(node.rescan()),
    "scrub": lambda node, _, __: node.scrub(),
    "repair": lambda node, _, __: node.repair(),
    "drop": lambda node, _, package: node.drop(package, "main", reason="space"),
    "delete": lambda node, _, package: node.delete(package, reason="no use"),
    "reindex": lambda node, _, __: node.reindex(),
    "confirm_recovery": lambda node, _, __: node.confirm_recovery(),
    "remirror": lambda node, _, __: node.remirror(),
    "remember": lambda node, _, __: node.remember(),
    "stores.add": lambda node, folder, _: node.stores.add(str(folder)),
    "stores.move": lambda node, folder, _: node.stores.move("main", str(folder)),
    "stores.rm": lambda node, _, __: node.stores.rm("main"),
    "users.add": lambda node, _, __: node.users.add("bob"),
    "samples.import_": lambda node, folder, _: node.samples.import_(_sheet(folder, "identifier\nS-1\n")),
    "judgements.import_": lambda node, folder, _: node.judgements.import_(_sheet(folder, "package,verdict\n")),
    "doctor": lambda node, _, __: node.doctor(),
    "assess": lambda node, _, package: node.assess(package, "accept", purpose="imaging"),
    "assess_by_machine": lambda node, _, package: node.assess_by_machine(package),
    "amend": lambda node, _, package: node.amend(package, {"sample.name": "S-13"}),
    "derive": lambda node, folder, package: node.derive(folder / "scan 0.bin", [package]),
    "grant": lambda node, _, package: node.grant(package, "bob"),
    "revoke": lambda node, _, __: node.revoke("0" * 64),
    "export": lambda node, folder, package: node.export(package, folder / "out.zip", for_="Marie Curie"),
    "site": lambda node, folder, _: node.site(folder / "site"),
    "export_custody": lambda node, folder, package: node.export_custody(package, folder / "chain.json"),
    "export_relays": lambda node, folder, package: node.export_relays(package, folder / "chain.json"),
}


def test_what_writes_is_refused_and_names_the_machine(away: Lab) -> None:
    store, folder = away.root / "main", away.session("new")
    with diadem.open_node(store) as node:
        package = node.search("", limit=1).rows[0].id
        before, cached = tree(store), tree(node.path.parent)
        for name, verb in WRITING.items():
            with pytest.raises(Refused) as refused:
                verb(node, folder, package)
            assert "is on the machine" in refused.value.message, name
            assert refused.value.next, name
            assert (tree(store), tree(node.path.parent)) == (before, cached), name
    assert "incoming" in said("archive", folder, "--now", "--node", store, code=4)
    assert sorted(path.name for path in folder.iterdir()) == ["scan 0.bin", "scan 1.bin", "scan 2.bin"]


def test_every_verb_of_a_node_is_either_read_or_refused() -> None:
    reading = {"get", "restore", "search", "status", "custody", "plan", "sessions_of", "to_dict", "close"}
    reading |= {"facets", "instruments", "previews", "show", "stop_job"}
    reading |= {"assessments", "amendments", "derivations", "warnings", "grants", "why"}
    named = {name for name, value in vars(Node).items() if callable(value) and name[0] != "_"}
    assert named - reading == {name for name in WRITING if "." not in name} - {"in-place"}


def test_a_second_pc_sees_the_node_as_it_was_when_work_ended_there(away: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    store = away.root / "main"
    early = diadem.open_node(store)
    monkeypatch.delenv("DIADEM_MACHINE")
    (away.root / "on another machine").rename(away.node.path)
    with diadem.open_node(away.node.path) as node:
        node.archive(away.session("later"), now=True)
        assert diadem.open_node(store).search().total == 2  # its work is not done yet
        (gone,) = [row.id for row in node.search().rows if row.title == "s"]
        (away.node.path / "policy.toml").write_text("[retention]\nyears = 0\n", "utf-8")
    assert early.search().total == 2  # a snapshot does not change under a reader
    late = diadem.open_node(store)
    assert late.search().total == 3
    with diadem.open_node(away.node.path) as node:
        node.delete(gone, reason="no use")
    assert late.search().total == 3
    with pytest.raises(NotFound, match="can be read"):
        late.get(gone)
    early.close()
    late.close()
    folder = next((away.root / "cache/stores").iterdir())
    assert len(list(folder.glob("*.sqlite"))) <= 2  # old snapshots do not pile up


def test_a_damaged_copy_is_found_there_too(away: Lab) -> None:
    (data,) = (away.root / "main").rglob("scan 1.bin")
    damage(data)
    with diadem.open_node(away.root / "main") as node:
        (row,) = [row for row in node.search().rows if row.title == "s"]
        report = node.get(row.id).verify()
        assert [finding.path for finding in report.findings if finding.severity == "error"] == ["data/scan 1.bin"]


def test_what_is_no_store_is_said_to_be_none(away: Lab, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "absent"):
        with pytest.raises((NotFound, Unreachable)) as raised:
            diadem.open_node(place)
        assert raised.value.next
    store = away.root / "main"
    snapshot = next((store / ".diadem/nodes").rglob("catalogue.sqlite"))
    data = snapshot.read_bytes()
    snapshot.unlink()
    with pytest.raises(NotFound, match="no catalogue to read yet"):
        diadem.open_node(store)
    snapshot.write_bytes(data[: len(data) // 2])
    with pytest.raises(diadem.IntegrityError), diadem.open_node(store) as node:
        node.search("s")
    os.truncate(store / ".diadem/store.json", 10)
    with pytest.raises(diadem.DiademError, match="damaged"):
        diadem.open_node(store)
