"""Chains of custody that came with packages, of other times and from anybody: none turns a node's own custody red."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.custody.chain import MAX_BYTES, Chain
from diadem.custody.report import CustodyStep, Verdict
from diadem.model.manifest import PackageId
from diadem.model.statements import ADDED, Draft
from tests.cli.inside import said
from tests.node.verbs.test_custody_in_exports import changed, in_zip
from tests.transfer.conftest import pair
from tests.transfer.pair import Pair, acquaint, deliver_all

__all__ = ["pair"]
Make = Callable[..., diadem.Node]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Further nodes, which have never heard of anybody."""
    with ExitStack() as nodes:

        def made(name: str, place: str = "") -> diadem.Node:
            root = tmp_path / (place or name)
            root.mkdir()
            return nodes.enter_context(diadem.Node.create(root / "node", name=name, user="olaf", store=str(root / "s")))

        yield made


def given(node: diadem.Node, package: str, path: Path) -> Path:
    """The package as a ZIP from a node."""
    node.export(package, path, for_="Olaf")
    return path


def transferred(pair: Pair, package: str) -> None:
    """Send a package to the second node, until both have said what there is to say."""
    sent = pair.a.node.send(package, "marie@nmi")
    pair.b.node.accept(sent.id)
    for _ in range(3):
        deliver_all(pair.a.desk)
        deliver_all(pair.b.desk)


def bad(node: diadem.Node, package: str) -> list[CustodyStep]:
    """What is missing or contradicted in a node's own view."""
    report = node.custody(package)
    return [*report.of(Verdict.MISSING), *report.of(Verdict.CONTRADICTED)]


@pytest.mark.parametrize("older", ["the sender's", "the recipient's"])
def test_zips_from_before_and_after_a_transfer_fit(pair: Pair, make: Make, tmp_path: Path, older: str) -> None:
    package, third = pair.a.archived(), make("oslo")
    acquaint(third, pair.a.node, "hu-berlin")
    acquaint(third, pair.b.node, "nmi")
    first = given(pair.a.node, package, tmp_path / "a1.zip")
    if older == "the recipient's":
        pair.b.node.import_(first)
        first = given(pair.b.node, package, tmp_path / "b1.zip")
    transferred(pair, package)
    later = pair.b if older == "the sender's" else pair.a
    for path in (given(later.node, package, tmp_path / "later.zip"), first):
        third.import_(path)
    assert len(third.custody(package).nodes) == 3
    for node in (third, pair.a.node, pair.b.node):
        assert not bad(node, package)


def test_what_a_stranger_says_of_a_transfer_of_others_is_only_claimed(pair: Pair, make: Make, tmp_path: Path) -> None:
    package, stranger, third = pair.a.archived(), make("elsewhere"), make("oslo")
    transferred(pair, package)
    stranger.import_(given(pair.a.node, package, tmp_path / "a.zip"))
    log = pair.b.node.context.ledger.of_subject(PackageId(package).hex)
    for entry in (entry for entry in log if entry.statement.kind in ("acceptance", "receipt")):
        said = {name: value for name, value in entry.statement.predicate.items() if name not in ADDED}
        stranger.context.say([Draft(entry.statement.kind, entry.statement.subjects, said)])
    third.import_(given(stranger, package, tmp_path / "s.zip"))
    acquaint(third, pair.a.node, "hu-berlin")
    steps = [step for step in third.custody(package).steps if step.kind == "transfer"]
    assert [(step.verdict, "you do not trust" in str(step.reason)) for step in steps] == [(Verdict.CLAIMED, True)]
    assert not bad(third, package)


def statements(node: diadem.Node, package: str, other: str) -> list[str]:
    """Ids of what a node shows of another one's log, each once."""
    steps = node.custody(package).steps
    return list(dict.fromkeys(one.statement_id for one in steps if one.node == other and one.kind and one.statement_id))


@pytest.fixture
def lossy(make: Make, tmp_path: Path) -> tuple[diadem.Node, str, Path]:
    """A node that lost the end of its log, a package of it, and a ZIP that it gave before with what it lost."""
    node = make("hu-berlin")
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "scan.bin").write_bytes(b"scan" * 500)
    package = str(node.archive(folder, now=True).package.id)
    node.close()
    root = tmp_path / "hu-berlin"
    shutil.copytree(root / "s", tmp_path / "older")
    with diadem.open_node(root / "node") as again:
        again.amend(package, {"sample.name": "S-1"})
        again.amend(package, {"sample.name": "S-2"})
        path = given(again, package, tmp_path / "before.zip")
    recovery, store = next(root.glob("*recovery*")), tmp_path / "older"
    return diadem.Node.recover(root / "again", store, recovery_file=recovery), package, path


def test_a_node_that_lost_the_end_of_its_log_is_not_said_to_lie(
    lossy: tuple[diadem.Node, str, Path], make: Make, tmp_path: Path
) -> None:
    node, package, before = lossy
    third = make("oslo")
    third.import_(before)
    for number in range(4):
        assert "not taken over" not in said(
            "import", given(node, package, tmp_path / f"{number}.zip"), "--node", third.path
        )
    assert any("restored after a loss" in step.sentence for step in third.custody(package).steps)
    assert not bad(third, package)
    node.close()


@pytest.mark.parametrize("newest_first", [True, False])
def test_what_a_node_lost_of_its_log_stays_where_it_was_kept(
    lossy: tuple[diadem.Node, str, Path], make: Make, tmp_path: Path, newest_first: bool
) -> None:
    node, package, before = lossy
    third = make("oslo")
    paths = [before, *(given(node, package, tmp_path / f"{number}.zip") for number in range(4))]
    shown = []
    for path in reversed(paths) if newest_first else paths:
        third.import_(path)
        shown.append(set(statements(third, package, node.id)))
    assert shown[-1] == set().union(*shown)
    assert {one.kind for one in third.custody(package).steps} >= {"amendment", "handover", "recovery"}
    again = given(third, package, tmp_path / "on.zip")
    fourth = make("bergen")
    fourth.import_(again)
    assert set(statements(fourth, package, node.id)) == shown[-1]
    third.close()
    recovery = next((tmp_path / "oslo").glob("*recovery*"))
    with diadem.Node.recover(tmp_path / "third", tmp_path / "oslo/s", recovery_file=recovery) as restored:
        assert set(statements(restored, package, node.id)) == shown[-1]
    node.close()


@pytest.mark.parametrize("cut", ["the middle", "the end", "the head", "nothing, and stretched"])
def test_a_chain_cut_short_is_told_and_not_kept(pair: Pair, make: Make, tmp_path: Path, cut: str) -> None:
    def shorter(name: str, data: bytes) -> bytes:
        if name != "chain.json":
            return data
        chain = Chain.from_bytes(data)
        if cut == "the head":
            return replace(chain, head=None).to_bytes()
        if cut == "nothing, and stretched":
            return replace(chain, statements=chain.statements * 20).to_bytes()
        at = 1 if cut == "the middle" else len(chain.statements) - 1
        return replace(chain, statements=chain.statements[:at] + chain.statements[at + 1 :]).to_bytes()

    package, third = pair.a.archived(), make("oslo")
    pair.a.node.amend(package, {"sample.name": "S-1"})
    pair.a.node.amend(package, {"sample.name": "S-2"})
    path = changed(given(pair.a.node, package, tmp_path / "a.zip"), tmp_path / "cut.zip", shorter)
    assert "chain.json: not taken over" in said("import", path, "--node", third.path)
    assert not bad(third, package)


def test_a_kept_chain_that_the_disk_spoilt_is_replaced_and_never_given_on(
    pair: Pair, make: Make, tmp_path: Path
) -> None:
    package, third = pair.a.archived(), make("oslo")
    path = given(pair.a.node, package, tmp_path / "a.zip")
    third.import_(path)
    found = statements(third, package, pair.a.id)
    (kept,) = (third.path / "network/chains").glob(f"*/{pair.a.id}.json")
    kept.write_bytes(kept.read_bytes()[:-100])
    assert len(in_zip(given(third, package, tmp_path / "without.zip"))) == 1
    assert "not taken over" not in said("import", path, "--node", third.path)
    assert found == statements(third, package, pair.a.id)
    assert not bad(third, package)


@pytest.mark.parametrize("theirs", ["chain.json", "chain-2.json", "chain-7.json/scan.raw"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_data_that_are_called_like_a_chain_are_not_passed_by(
    pair: Pair, make: Make, tmp_path: Path, form: str, theirs: str
) -> None:
    package, third = pair.a.archived(), make("oslo")
    path, place = given(pair.a.node, package, tmp_path / "a.zip"), tmp_path / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(place)
    assert "imported" in said("archive", place, "--now", "--node", third.path)
    (place / theirs).parent.mkdir(exist_ok=True)
    (place / theirs).write_bytes(b'{"polymer":"a measurement of somebody"}')
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "again.zip", "w") as archive:
            for one in (one for one in place.rglob("*") if one.is_file()):
                archive.write(one, one.relative_to(place))
        place = tmp_path / "again.zip"
    told = said("archive", place, "--now", "--node", third.path, code=4)
    assert f"lies what is in none of them: {theirs.partition('/')[0]}" in told


@pytest.mark.catalogue
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_who_was_killed_after_a_package_came_has_its_custody(pair: Pair, make: Make, tmp_path: Path) -> None:
    package, third = pair.a.archived(), make("oslo")
    path = given(pair.a.node, package, tmp_path / "a.zip")
    third.close()
    killed = """
import os, signal, sys
from diadem.node.take import handed_packages
from diadem.cli.main import run
handed_packages.with_wanted_copies = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
run(sys.argv[1:])
"""
    line = [sys.executable, "-c", killed, "import", str(path), "--node", str(third.path)]
    assert subprocess.run(line, check=False, capture_output=True).returncode == -signal.SIGKILL
    with diadem.open_node(third.path) as again:
        assert "not taken over" not in said("import", path, "--node", again.path)
        assert statements(again, package, pair.a.id)


@pytest.mark.parametrize("way", ["too large", "damaged", "a folder"])
def test_a_chain_that_cannot_be_read_keeps_no_package_out(pair: Pair, make: Make, tmp_path: Path, way: str) -> None:
    package, third = pair.a.archived(), make("oslo")
    path, odd = given(pair.a.node, package, tmp_path / "a.zip"), tmp_path / "odd.zip"
    chain, large = in_zip(path)["chain.json"], b'{"format":"diadem-chain/1"' + bytes(MAX_BYTES)
    changed(path, odd, lambda name, data: None if name == "chain.json" else data)
    with zipfile.ZipFile(odd, "a") as archive:
        if way == "a folder":
            archive.writestr("chain.json/x", chain)
        elif way == "damaged":
            archive.writestr("chain.json", chain)
        else:
            archive.writestr("chain-2.json", large, zipfile.ZIP_DEFLATED, compresslevel=1)
    if way == "damaged":
        data = odd.read_bytes()
        odd.write_bytes(data.replace(chain[:200], chain[:100] + b"#" + chain[101:200]))
    told = said("import", odd, "--node", third.path)
    assert told.count("not taken over") == (way != "a folder")
    assert diadem.verify(third.get(package), level="full").ok
    assert not bad(third, package)


def test_what_a_node_says_that_calls_itself_as_this_one_is_told_apart(pair: Pair, make: Make, tmp_path: Path) -> None:
    package, namesake = pair.a.archived(), make("nmi", "namesake")
    namesake.import_(given(pair.a.node, package, tmp_path / "a.zip"))
    given(namesake, package, tmp_path / "for mallory.zip")
    pair.b.node.import_(given(namesake, package, tmp_path / "n.zip"))
    report = pair.b.node.custody(package)
    theirs = [step for step in report.steps if step.node == namesake.id]
    assert {step.kind for step in theirs} >= {"handover", "ingest"}
    for step in report.steps:
        apart = f"another node that calls itself nmi, {namesake.id[:12]}…" in str(step.reason)
        assert apart == (step.node == namesake.id)
    assert namesake.id[:12] in said("custody", package, "--node", pair.b.node.path).partition("gave the package")[2]


@pytest.mark.catalogue
def test_what_a_node_lost_of_its_own_log_comes_back_and_is_shown_as_lost(
    lossy: tuple[diadem.Node, str, Path],
) -> None:
    node, package, before = lossy
    held = set(statements(node, package, node.id))
    assert "not taken over" not in said("import", before, "--node", node.path)
    steps = [step for step in node.custody(package).steps if step.kind == "amendment" and step.statement_id not in held]
    assert {"lost it when its log was restored" in str(step.reason) for step in steps} == {True}
    assert not bad(node, package)
    node.close()


def test_a_chain_of_this_nodes_log_that_says_otherwise_is_told(pair: Pair, tmp_path: Path) -> None:
    package, node = pair.a.archived(), pair.a.node
    before = tmp_path / "before"
    node.close()
    shutil.copytree(node.path, before)
    with diadem.open_node(node.path) as later:
        later.amend(package, {"sample.name": "S-1"})
        path = given(later, package, tmp_path / "later.zip")
    shutil.rmtree(node.path)
    before.rename(node.path)  # somebody put a backup of the node in its place
    with diadem.open_node(node.path) as again:
        assert "not taken over: " in said("import", path, "--node", again.path)
        assert not bad(again, package)


def test_an_export_says_whether_custody_is_in_it(pair: Pair, tmp_path: Path) -> None:
    package, node = pair.a.archived(), pair.a.node
    ways: list[dict[str, Any]] = [{}, {"only": "raw"}, {"only": "record"}, {"redact": True}]
    for number, options in enumerate(ways):
        path = tmp_path / f"{number}.zip"
        would = node.export(package, path, for_="Olaf", dry_run=True, **options)
        made = node.export(package, path, for_="Olaf", **options)
        assert would.custody == made.custody == made.to_dict()["custody"] == bool(in_zip(path)) == (not options)


def test_a_kept_chain_that_the_disk_does_not_give_hides_no_other(pair: Pair, make: Make, tmp_path: Path) -> None:
    package, third = pair.a.archived(), make("oslo")
    third.import_(given(pair.a.node, package, tmp_path / "a.zip"))
    (kept,) = (third.path / "network/chains").glob(f"*/{pair.a.id}.json")
    kept.unlink()
    kept.mkdir()
    told = said("custody", package, "--node", third.path, code=1)
    assert f"the chain of {pair.a.id[:12]}… that came with it is not a chain" in " ".join(told.split())
    assert "were found as a package" in " ".join(told.split())
