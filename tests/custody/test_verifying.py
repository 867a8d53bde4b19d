"""Chains are checked offline: what was done to them is found, and named."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.custody.chain import Chain, own_chain
from diadem.custody.log_entry import Entry
from diadem.custody.report import CustodyReport, Verdict
from diadem.custody.statements import node_card, user_card
from diadem.custody.verify import verify_chains
from diadem.model.statements import Draft
from diadem.trust.note import Checkpoint, sign_checkpoint
from tests.custody.forging import edited, rewritten, signed_by, without_head, without_statement
from tests.custody.group import NAME, Group, MemoryMirror, fixity, ingest, key, package

CHECK = """
import json, sys
from pathlib import Path
from diadem.custody.verify import verify_chains
files = [Path(name) for name in sys.argv[2:]]
report = verify_chains([file.read_bytes() for file in files], names=[file.name for file in files], pins=[sys.argv[1]])
print(json.dumps(report.to_dict()))
"""


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, bytes]]:
    """A chain of a thousand events in a log of more, and the node's id."""
    group = Group(tmp_path_factory.mktemp("thousand") / "log").create(MemoryMirror())
    group.ledger.append([ingest(1)], [group.online], user_keys=[group.alice])
    for part in range(9):
        group.say(ingest(100 + part), *(fixity(1) for _ in range(111)))
    yield group.node, group.export(package(1))
    group.ledger.close()


def check(*files: bytes, node: str | None = None, **more: object) -> CustodyReport:
    pins = None if node is None else [node]
    names = ["chain.json", *(f"chain-{number}.json" for number in range(2, len(files) + 1))]
    return verify_chains(files, names=names, pins=pins, **more)  # type: ignore[arg-type]


def test_a_thousand_events_are_proved_offline(thousand: tuple[str, bytes], tmp_path: Path) -> None:
    """In a process of its own that has nothing but the file: no node, no key, no network."""
    node, data = thousand
    (tmp_path / "chain.json").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHECK, node, "chain.json"], cwd=tmp_path, capture_output=True, check=True
    )
    report = json.loads(done.stdout)
    assert report["counts"] == {"proved": 1000, "claimed by one side": 1, "missing": 0, "contradicted": 0}
    assert report["ok"]
    assert report["nodes"] == [{"id": node, "name": NAME, "pinned": True}]
    assert report["steps"][0]["sentence"].startswith("On 14 March 2026, 09:29 UTC, 120 files (3.2 GB) from D:/TEM")
    assert report["steps"][0]["signers"] == [NAME, f"alice@{NAME}"]
    assert "claimed that nothing had been said" in report["steps"][-1]["sentence"]


def test_a_thousand_events_take_seconds(thousand: tuple[str, bytes]) -> None:
    started = time.process_time()
    assert check(thousand[1]).ok
    assert time.process_time() - started < 4


@pytest.mark.parametrize("seed", range(3))
def test_one_changed_byte_in_a_thousand_events_is_found_and_named(thousand: tuple[str, bytes], seed: int) -> None:
    node, data = thousand
    chain = Chain.from_bytes(data)
    source = random.Random(seed)
    at = source.randrange(len(chain.statements))
    line = chain.statements[at].line
    start = data.index(line.encode()[:400].replace(b'"', b'\\"'), data.index(b'"statements"'))
    changed = bytearray(data)
    spot = start + source.randrange(20, len(line))
    changed[spot] = source.choice([value for value in b"ABCDxyz0189" if value != changed[spot]])
    report = check(bytes(changed), node=node)
    wrong = report.of(Verdict.CONTRADICTED)
    assert wrong
    assert wrong[0].file == "chain.json"
    place = f"statements[{at}]", f"statement {at + 1} of 1000 "
    assert any(text in (wrong[0].reason or "") for text in place)


def test_one_changed_byte_anywhere_is_found(group: Group) -> None:
    """Every byte of a small chain, each changed once in one of its bits."""
    group.say(ingest(1), fixity(1), fixity(1, 2))
    before = group.export(package(1))
    group.say(fixity(1))
    data = group.export(package(1))
    assert check(before, data).ok
    source = random.Random(5)
    for at in source.sample(range(len(data)), 100):
        changed = bytearray(data)
        changed[at] ^= 1 << source.randrange(8)
        report = check(bytes(changed))
        assert not report.ok, (at, data[at - 40 : at + 20])
        bad = [*report.of(Verdict.CONTRADICTED), *report.of(Verdict.MISSING)]
        assert all(step.file == "chain.json" and step.reason for step in bad)


def test_the_rest_of_a_damaged_chain_still_counts(group: Group) -> None:
    group.say(ingest(1), fixity(1), fixity(1), fixity(1))
    data = group.export(package(1))

    def change(chain: Chain) -> Chain:
        items = list(chain.statements)
        items[1] = replace(items[1], line=items[1].line.replace('"sig":"', '"sig":"A', 1))
        return replace(chain, statements=tuple(items))

    report = check(edited(data, change))
    assert [step.verdict for step in report.steps[:4]] == [
        Verdict.PROVED,
        Verdict.CONTRADICTED,
        Verdict.PROVED,
        Verdict.PROVED,
    ]
    assert report.counts["missing"] == 0
    assert "statement 2 of 4" in (report.steps[1].reason or "")


def test_a_gap_inside_is_missing(group: Group) -> None:
    group.say(ingest(1), *(fixity(1) for _ in range(6)))
    report = check(without_statement(group.export(package(1)), 3))
    assert [step.verdict.name for step in report.steps] == [*["PROVED"] * 3, "MISSING", *["PROVED"] * 3, "CLAIMED"]
    gap = report.steps[3]
    assert "between entry 6 and entry 8" in gap.sentence
    assert "statement 4 of 6 of chain.json" in (gap.reason or "")
    first = check(without_statement(group.export(package(1)), 0))
    assert first.steps[0].verdict is Verdict.MISSING


def test_the_end_is_claimed_by_the_exporter(group: Group) -> None:
    group.say(ingest(1), fixity(1), fixity(1))
    whole = group.export(package(1))
    report = check(whole)
    assert report.ok
    assert report.steps[-1].verdict is Verdict.CLAIMED
    assert "claimed that nothing had been said" in report.steps[-1].sentence
    dropped = without_statement(whole, -1)
    report = check(dropped)  # someone on the way: the head still names the last one
    assert not report.ok
    assert [step.verdict for step in report.steps[-2:]] == [Verdict.MISSING, Verdict.CLAIMED]
    assert "the exporter claimed that there is one" in report.steps[-2].sentence
    hidden = signed_by(dropped, group.online)  # the exporter: nothing in the file can tell
    report = check(hidden)
    assert report.ok
    assert report.steps[-1].verdict is Verdict.CLAIMED
    assert "claimed that nothing had been said after these 2 statements" in report.steps[-1].sentence
    report = check(hidden, whole)  # but another export can
    assert "statement 3 of 3 of chain-2.json" in (report.of(Verdict.CONTRADICTED)[0].reason or "")
    report = check(without_head(whole))
    assert report.steps[-1].verdict is Verdict.MISSING


def test_files_complete_each_other(group: Group) -> None:
    group.say(ingest(1), *(fixity(1) for _ in range(5)))
    data = group.export(package(1))
    report = check(without_statement(data, 2), without_statement(data, 4))
    assert report.ok
    assert report.counts["proved"] == 6


def test_a_later_export_proves_that_the_log_only_grew(group: Group) -> None:
    group.say(ingest(1))
    early = group.export(package(1))
    for number in range(20):
        group.say(ingest(number + 2), fixity(1))
    kept = group.ledger.checkpoint()
    group.say(ingest(50))
    late = group.export(package(1), since=[kept])
    report = check(early, late, checkpoints=[kept])
    assert report.ok
    assert report.steps[-1].verdict is Verdict.PROVED
    assert "still begins" in report.steps[-1].sentence
    assert report.counts == {"proved": 22, "claimed by one side": 2, "missing": 0, "contradicted": 0}


def replaced(index: int) -> object:
    def change(entry: Entry) -> list[Draft | Entry]:
        if entry.index != index:
            return [entry]
        said = {name: entry.statement.predicate[name] for name in ("store", "level", "slice", "proven", "checked")}
        return [Draft("fixity", entry.statement.subjects, {**said, "store": "another"})]

    return change


@pytest.mark.parametrize("index", [5, 9, 13])
def test_a_rewritten_log_is_caught_by_an_older_export(group: Group, tmp_path: Path, index: int) -> None:
    """Whoever has every key writes the log anew; an export from before gives it away."""
    group.say(ingest(1), *(fixity(1) for _ in range(12)))
    older = group.export(package(1))
    checkpoint = group.ledger.checkpoint()
    group.say(fixity(1))
    forged = rewritten(group, tmp_path / "forged", replaced(index))  # type: ignore[arg-type]
    newer = forged.export(package(1))
    assert check(newer).ok  # alone it tells nothing
    report = check(older, newer)
    reasons = " ".join(step.reason or "" for step in report.of(Verdict.CONTRADICTED))
    assert "rewritten or forked" in reasons
    assert "chain.json" in reasons
    assert "chain-2.json" in reasons
    assert not check(newer, checkpoints=[checkpoint]).ok
    with pytest.raises(diadem.IntegrityError, match="does not begin"):
        forged.ledger.compare(checkpoint)
    with pytest.raises(diadem.IntegrityError):
        forged.export(package(1), since=[checkpoint])
    forged.ledger.close()


def test_a_rewrite_elsewhere_in_the_log_is_caught_too(group: Group, tmp_path: Path) -> None:
    """The statements of the chain are untouched; what was said of another package is gone from before them."""
    group.say(*(ingest(number) for number in range(2, 9)))
    group.say(ingest(1), fixity(1))
    older = group.export(package(1))
    kept = group.ledger.checkpoint()
    group.say(ingest(9))
    forged = rewritten(group, tmp_path / "forged", lambda entry: [ingest(77)] if entry.index == 6 else [entry])
    newer = forged.export(package(1))
    report = check(older, newer)
    assert "the entries 4 to 7 differ" in " ".join(step.reason or "" for step in report.of(Verdict.CONTRADICTED))
    assert check(newer, checkpoints=[kept]).steps[-1].verdict is Verdict.MISSING
    report = check(older, newer, checkpoints=[kept])
    assert "rewritten or forked" in report.of(Verdict.CONTRADICTED)[-1].sentence
    forged.ledger.close()


def test_a_kept_checkpoint_needs_its_proof(group: Group) -> None:
    group.say(ingest(1))
    kept = group.ledger.checkpoint()
    group.say(fixity(1))
    data = group.export(package(1))
    report = check(data, checkpoints=[kept])
    assert report.steps[-1].verdict is Verdict.MISSING
    assert check(data, checkpoints=[kept.replace(NAME, "hu-bonn")]).steps[-1].verdict is Verdict.MISSING
    assert check(group.export(package(1), since=[kept]), checkpoints=[kept]).ok


def test_a_file_that_is_older_than_the_kept_checkpoint_proves_nothing_of_it(group: Group) -> None:
    group.say(ingest(1))
    older = group.export(package(1))
    group.say(*(fixity(1) for _ in range(9)))
    kept = group.ledger.checkpoint()
    made_up = sign_checkpoint(Checkpoint(kept.partition("\n")[0], 10_000, bytes(32)), group.log)
    for later in (kept, made_up):
        assert check(older, checkpoints=[later]).steps[-1].verdict is Verdict.MISSING
    newer = group.export(package(1), since=[kept])
    assert check(newer, checkpoints=[kept]).ok
    assert check(older, newer, checkpoints=[kept]).ok
    assert check(newer, checkpoints=[group.ledger.checkpoint()]).ok, "as large as the file"


def test_a_node_that_is_not_pinned_only_claims(group: Group) -> None:
    group.say(ingest(1), fixity(1))
    report = check(group.export(package(1)), node="0" * 64)
    assert report.counts["proved"] == 0
    assert report.nodes[0].pinned is False
    assert "not one of those that you trust" in (report.steps[0].reason or "")


def test_another_root_key_makes_another_node(group: Group, tmp_path: Path) -> None:
    """Someone with a root key of his own, who claims to be our node, is not."""
    group.say(ingest(1))
    thief = Group(tmp_path / "thief", root=key(66), online=key(67), log=key(68)).create(MemoryMirror())
    thief.say(ingest(1))
    stolen = edited(thief.export(package(1)), lambda chain: replace(chain, node=group.node))
    report = check(stolen, node=group.node)
    assert report.counts["proved"] == 0
    assert not report.ok
    thief.ledger.close()


def test_statements_signed_by_the_wrong_key_do_not_count(group: Group) -> None:
    group.say(ingest(1))
    group.ledger.append([fixity(1)], [group.alice])
    group.ledger.append([fixity(1)], [key(77)])
    report = check(group.export(package(1)))
    assert [step.verdict.name for step in report.steps[:3]] == ["PROVED", "CONTRADICTED", "CONTRADICTED"]
    assert "not by the node's online key" in (report.steps[1].reason or "")
    assert "not signed by the node's online key" in (report.steps[2].reason or "")


def test_a_replaced_key_signs_no_longer(group: Group) -> None:
    group.say(ingest(1))
    new = key(22)
    card = node_card(name=NAME, root=group.root.public, online=new.public, log=group.log.public, version=2)
    group.ledger.append(card, [group.root])
    group.say(fixity(1))
    group.ledger.append([fixity(1)], [new])
    group.ledger.append([user_card(name=f"alice@{NAME}", key=key(44).public, version=2)], [new])
    data = export_with(group, new)
    report = check(data)
    assert [step.verdict.name for step in report.steps] == ["PROVED", "CONTRADICTED", "PROVED", "CLAIMED"]
    assert "not in force" in (report.steps[1].reason or "")


def export_with(group: Group, online: object) -> bytes:
    group.online = online  # type: ignore[assignment]
    return group.export(package(1))


def test_a_kind_of_a_later_version_is_shown_as_not_understood(
    tmp_path: Path,
) -> None:
    """Written by a node that knows the kind, read by one that does not; in a process each."""
    write = """
import sys; from pathlib import Path
from diadem.model import statement_kinds, statements
from diadem.custody import log
polish = statement_kinds.Kind("polish", frozenset({"node"}), "The lens was polished.")
statements.KINDS = {**statement_kinds.KINDS, "polish": polish}
log.validate_draft = lambda draft: None
from tests.custody.group import *
group = Group(Path(sys.argv[1])).create(MemoryMirror())
group.say(ingest(1), Draft("polish", (Subject.package(package(1)),), {"lens": "objective"}), fixity(1))
Path(sys.argv[2]).write_bytes(group.export(package(1)))
"""
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-c", write, str(tmp_path / "log"), str(tmp_path / "chain.json")], check=True, cwd=root
    )
    report = check((tmp_path / "chain.json").read_bytes())
    assert report.ok
    assert report.steps[1].verdict is Verdict.PROVED
    assert report.steps[1].kind == "polish"
    assert "does not understand" in report.steps[1].sentence


def test_a_handover_is_claimed_by_one_side(group: Group) -> None:
    subject = ingest(1).subjects
    group.say(ingest(1), Draft("handover", subject, {"to": "Marie Curie <m@x.org>", "form": "zip", "redacted": False}))
    report = check(group.export(package(1)))
    assert report.steps[1].verdict is Verdict.CLAIMED
    assert report.ok


def test_the_node_looks_at_its_own_chain(group: Group, mirror: MemoryMirror) -> None:
    mirror.down = True
    group.say(ingest(1), fixity(1))
    chain = own_chain(group.ledger, package(1))
    report = check(chain.to_bytes(), own=True)
    assert report.verdict is Verdict.PROVED
    assert len(report.steps) == 2
    with pytest.raises(diadem.NotFound):
        own_chain(group.ledger, package(2))


def test_the_chain_of_a_key(group: Group) -> None:
    report = check(own_chain(group.ledger, group.alice.public.key_id).to_bytes(), own=True)
    assert report.verdict is Verdict.PROVED
    assert "vouched for the key of alice@hu-berlin" in report.steps[0].sentence


def test_users_who_did_not_sign_are_not_told_of(group: Group) -> None:
    group.ledger.append([user_card(name=f"bob@{NAME}", key=key(5).public)], [group.online])
    group.say(ingest(1))
    assert len(Chain.from_bytes(group.export(package(1))).keys) == 3
    group.ledger.append([fixity(1)], [group.online], user_keys=[group.alice])
    assert len(Chain.from_bytes(group.export(package(1))).keys) == 4


def test_no_file_is_a_usage_error() -> None:
    with pytest.raises(diadem.UsageError):
        verify_chains([])


def test_chains_of_several_subjects_and_nodes_at_once(group: Group, tmp_path: Path) -> None:
    other = Group(tmp_path / "other", root=key(11), online=key(12), log=key(13)).create(MemoryMirror())
    group.say(ingest(1), ingest(2))
    other.say(ingest(1))
    report = check(group.export(package(1)), group.export(package(2)), other.export(package(1)), node=group.node)
    assert report.ok
    assert len(report.nodes) == len(report.subjects) == 2
    assert report.counts["proved"] == 2
    other.ledger.close()
