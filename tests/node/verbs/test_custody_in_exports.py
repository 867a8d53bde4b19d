"""Who had a package travels with it in a ZIP, or beside a bag, from node to node: checked, kept, and never believed."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.custody.chain import Chain
from diadem.custody.log_entry import Entry
from diadem.custody.report import CustodyStep, Verdict
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_import import tarred
from tests.transfer.pair import acquaint

Make = Callable[[str], diadem.Node]


@pytest.fixture
def make(lab: Lab) -> Iterator[Make]:
    """Other nodes, which have never heard of the first."""
    with ExitStack() as nodes:

        def made(name: str) -> diadem.Node:
            store = str(lab.root / f"{name}-store")
            return nodes.enter_context(diadem.Node.create(lab.root / name, name=name, user="carla", store=store))

        yield made


@pytest.fixture
def package(lab: Lab) -> str:
    """A package that was corrected, and given to somebody before."""
    made = lab.archived("2026-03-14 GaN")
    lab.node.amend(made, {"sample.name": "S-13"})
    lab.node.export(made, lab.root / "first.zip", for_="Pierre Curie")
    return made


def given(node: diadem.Node, package: str, path: Path, **options: Any) -> Path:
    """The package as a ZIP from a node."""
    node.export(package, path, for_="Marie Curie", **options)
    return path


def steps_of(node: diadem.Node, package: str, other: diadem.Node) -> list[CustodyStep]:
    """What a node shows of what another node's log says of a package."""
    return [step for step in node.custody(package).steps if step.node == other.id and step.statement_id]


def own_steps(node: diadem.Node, package: str) -> list[tuple[str, str]]:
    """What a node shows of its own log, and what that is worth."""
    return [(step.sentence, step.verdict) for step in steps_of(node, package, node)]


def changed(path: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A ZIP in which somebody changed members; None leaves one out."""
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(to, "w") as after:
        for info in before.infolist():
            if (data := change(info.filename, before.read(info))) is not None:
                after.writestr(info, data)
    return to


def in_zip(path: Path) -> dict[str, bytes]:
    """The chains in a ZIP."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith("chain")}


def test_the_custody_of_a_zip_is_shown_where_it_was_imported(lab: Lab, make: Make, package: str) -> None:
    before = own_steps(lab.node, package)
    path = given(lab.node, package, lab.root / "given.zip")
    other = make("emlab")
    told = said("import", path, "--node", other.path)
    assert f"diadem custody --node {other.path} {package[7:19]}   (who had it before" in told
    found = steps_of(other, package, lab.node)
    assert [step.sentence for step in found] == [sentence for sentence, _ in before]
    assert "Pierre Curie" in "".join(step.sentence for step in found)
    assert {step.verdict for step in found} == {Verdict.CLAIMED}  # it knows nobody there
    assert other.custody(package).ok
    told = said("custody", package, "--node", other.path)
    assert f"hu-berlin  {lab.node.id}  (NOT among the nodes that you trust)" in told
    acquaint(other, lab.node, "hu-berlin")
    assert [(step.sentence, step.verdict) for step in steps_of(other, package, lab.node)] == before
    assert Verdict.PROVED in dict(before).values()


def test_a_newer_zip_takes_its_place_and_an_older_one_does_not(lab: Lab, make: Make, package: str) -> None:
    older = given(lab.node, package, lab.root / "older.zip")
    newer = given(lab.node, package, lab.root / "newer.zip")
    other, counts = make("emlab"), []
    for path in (older, newer, older):
        other.import_(path)
        counts.append(len(steps_of(other, package, lab.node)))
    assert counts[1:] == [counts[0] + 1] * 2


def test_the_custody_goes_on_from_node_to_node_and_comes_back(lab: Lab, make: Make, package: str) -> None:
    second, third = make("second"), make("third")
    second.import_(given(lab.node, package, lab.root / "one.zip"))
    path = given(second, package, lab.root / "two.zip")
    third.import_(path)
    assert {Chain.from_bytes(data).node for data in in_zip(path).values()} == {lab.node.id, second.id}
    for node in (lab.node, second):
        assert steps_of(third, package, node)
    report = third.custody(package)
    assert (report.ok, len(report.nodes)) == (True, 3)
    lab.node.import_(given(third, package, lab.root / "three.zip"))
    acquaint(lab.node, third, "third")
    assert len(own_steps(lab.node, package)) == len({one.statement_id for one in lab.node.custody(package).steps if
                                                     one.node == lab.node.id and one.kind})  # fmt: skip


def test_a_chain_that_lies_beside_a_bag_comes_with_it(lab: Lab, make: Make, package: str) -> None:
    other = make("emlab")
    bag = tarred(lab.path(package, "main"), lab.root / "bag.tar", "./bag")
    said("custody", package, "--export", lab.root / "chain.json", "--node", lab.node.path)
    (lab.root / "chain-2.json").write_text("[1, 2]")  # somebody's own
    other.import_(bag)
    assert len(steps_of(other, package, lab.node)) == len(own_steps(lab.node, package))


def test_what_came_of_others_is_exported_beside_the_chain(lab: Lab, make: Make, package: str) -> None:
    second, third = make("second"), make("third")
    second.import_(given(lab.node, package, lab.root / "given.zip"))
    (lab.root / "out").mkdir()
    said("custody", package, "--export", lab.root / "out" / "chain.json", "--node", second.path)
    bag = shutil.copytree(lab.path(package, "main"), lab.root / "out" / "bag")
    third.import_(bag)
    for node in (lab.node, second):
        assert steps_of(third, package, node)


@pytest.mark.parametrize("options", [{"redact": True}, {"only": "raw"}, {"only": "record"}, {"custody": False}])
def test_what_is_no_whole_package_has_no_custody(lab: Lab, package: str, options: dict[str, Any]) -> None:
    path = given(lab.node, package, lab.root / "given.zip", **options)
    assert not in_zip(path)
    assert b"chain.json" not in zipfile.ZipFile(path).read("READ ME FIRST.html")


def test_the_command_leaves_custody_out_where_it_is_told_to(lab: Lab, package: str) -> None:
    words = ("export", package, lab.root / "given.zip", "--for", "Marie Curie", "--node", lab.node.path)
    assert "custody          enclosed" in said(*words, "--dry-run")
    assert "enclosed" not in said(*words, "--no-custody")
    assert not in_zip(lab.root / "given.zip")
    assert diadem.verify(lab.root / "given.zip").package_id == package
    assert "--no-custody" in said("export", package, lab.root / "x", "--as", "datacite", "--no-custody", code=2)


def test_who_gets_a_zip_reads_that_it_says_who_had_the_package(lab: Lab, package: str) -> None:
    path = given(lab.node, package, lab.root / "given.zip")
    assert list(in_zip(path)) == ["chain.json"]
    assert b"<code>chain.json</code>" in zipfile.ZipFile(path).read("READ ME FIRST.html")
    (lab.root / "chain.json").write_bytes(in_zip(path)["chain.json"])
    assert diadem.verify_custody(lab.root / "chain.json", pins=[lab.node.id]).ok


def test_a_chain_that_was_changed_is_told_and_the_package_comes_without(lab: Lab, make: Make, package: str) -> None:
    def forged(name: str, data: bytes) -> bytes:
        at = data.rindex(b'"line"') + 200 if name == "chain.json" else 0
        return data[:at] + bytes([data[at] ^ 3]) + data[at + 1 :] if at else data

    other = make("emlab")
    told = said("import", changed(given(lab.node, package, lab.root / "given.zip"), lab.root / "x.zip", forged),
                "--node", other.path)  # fmt: skip
    assert "chain.json: not taken over" in told
    assert diadem.verify(other.get(package), level="full").ok
    assert not steps_of(other, package, lab.node)


def test_of_what_was_here_a_stranger_says_nothing_new(lab: Lab, make: Make, package: str) -> None:
    other, stranger = make("emlab"), make("stranger")
    other.import_(given(lab.node, package, lab.root / "given.zip"))
    stranger.import_(lab.root / "given.zip")
    path = given(stranger, package, lab.root / "of a stranger.zip")
    told = said("import", path, "--node", other.path)
    assert f"not taken over: this node does not know who signed it ({stranger.id[:12]}…)" in told
    assert "diadem peer invite" in told
    assert not steps_of(other, package, stranger)
    acquaint(other, stranger, "stranger")
    other.import_(path)
    assert steps_of(other, package, stranger)


@pytest.mark.catalogue
def test_kept_custody_survives_the_loss_of_the_node(lab: Lab, make: Make, package: str) -> None:
    other = make("emlab")
    other.import_(given(lab.node, package, lab.root / "given.zip"))
    found = steps_of(other, package, lab.node)
    other.close()
    recovery = Path(f"{other.path}-recovery.txt")
    with diadem.Node.recover(lab.root / "again", lab.root / "emlab-store", recovery_file=recovery) as again:
        assert steps_of(again, package, lab.node) == found


@pytest.mark.catalogue
def test_a_session_of_several_packages_has_the_custody_of_each(lab: Lab, make: Make) -> None:
    session = lab.session("2026-03-15 ZnO")
    first = str(lab.node.archive(session, now=True).package.id)
    (session / "later.bin").write_bytes(b"later" * 500)
    second = str(lab.node.archive(session, now=True).package.id)
    other = make("emlab")
    other.import_(given(lab.node, second, lab.root / "both.zip", chain=True))
    for package in (first, second):
        assert steps_of(other, package, lab.node)


@pytest.mark.parametrize("whom", ["alice@hu-berlin", "alice"])
def test_what_its_own_user_takes_is_called_taken_out(lab: Lab, whom: str) -> None:
    package, at = lab.archived("one"), ("--node", lab.node.path)
    told = said("export", package, lab.root / "own.zip", "--for", whom, *at)
    assert "taken out by     alice@hu-berlin: recorded in your log" in told
    told = " ".join(said("custody", package, *at).split())
    assert "alice@hu-berlin took out the package (zip" in told
    assert "gave the package" not in told
    assert "arrived" not in told, "nobody else could say so"
    told = said("export", package, lab.root / "given.zip", "--for", "bob@hu-berlin", *at)
    assert "given to         bob@hu-berlin: recorded in your log" in told
    told = " ".join(said("custody", package, *at).split())
    assert "alice@hu-berlin gave the package to bob@hu-berlin (zip" in told


@pytest.mark.program("35 packages in two stores")
def test_a_chain_names_few_of_the_packages_that_were_checked_with_its_own(lab: Lab, tmp_path: Path) -> None:
    lab.add_second()
    packages = [lab.archived(f"session {number}") for number in range(35)]
    assert lab.node.scrub("main").proven == 35
    lab.second.rename(lab.root / "elsewhere")
    with lab.reopened() as node:
        node.stores.lose("second", reason="stolen")
        for package in (packages[0], packages[-1]):
            chain = Chain.from_bytes(node.export_custody(package, tmp_path / f"{package[7:19]}.json").read_bytes())
            stated = [Entry.from_line(one.epoch, one.index, one.line.encode()).statement for one in chain.statements]
            checks = [one for one in stated if one.kind == "fixity"]
            assert [bool(one.predicate["proven"]) for one in checks] == [True, False]
            assert max(len(one.subjects) for one in checks) <= 16
        copies = [copy for one in node.context.catalogue.package_states() for copy in one.replicas]
        assert (
            sorted((one.store, one.state) for one in copies)
            == [("main", "present")] * 35 + [("second", "missing")] * 35
        )
        assert node.scrub("main", due=True).proven == 0
    assert diadem.verify_custody(*tmp_path.glob("*.json")).ok
