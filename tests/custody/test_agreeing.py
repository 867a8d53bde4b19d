"""Two nodes and what both say of a transfer: the same, one of them nothing, or things that cannot both be so."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.custody.report import CustodyReport, CustodyStep, Verdict
from diadem.custody.statements import node_card, user_card
from diadem.custody.verify import verify_chains
from diadem.model.statements import Draft, Subject
from tests.custody.group import Group, MemoryMirror, fixity, key, package

T = "5d6a3f90" * 4
PACKAGE = f"diadem:{package(1)}"
ABOUT = (Subject.package(PACKAGE), Subject.named(f"transfer:{T}"))
OTHER = "ab" * 32
TIME = "2026-03-14T09:26:53Z"


@dataclass
class Two:
    """alice@hu-berlin, who sends, and marie@nmi, who receives; what each says can be bent."""

    a: Group
    b: Group
    bent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    said: dict[str, Entry] = field(default_factory=dict)

    def say(self, kind: str) -> None:
        group = self.a if kind in ("offer", "closure") else self.b
        predicate = {"transfer": T, **self._words()[kind], **self.bent.get(kind, {})}
        keys = ([], [group.alice]) if kind in ("offer", "acceptance") else ([group.online], [])
        (entry,) = group.ledger.append([Draft(kind, ABOUT, predicate)], keys[0], user_keys=keys[1])
        self.said[kind] = entry

    def _words(self) -> dict[str, dict[str, Any]]:
        def id_of(kind: str) -> str:
            return self.said[kind].statement_id if kind in self.said else OTHER

        payload = {"payload_id": hashlib.sha256(b"p").hexdigest(), "bytes": 5000}
        known = {"offer": id_of("offer"), "package": PACKAGE, "sender": self.a.node}
        return {
            "offer": payload
            | {"package": PACKAGE, "to": "marie@nmi", "recipient": self.b.node, "grant": OTHER, "files": 3}
            | {"routes": ["direct"], "expires": "2099-01-01T00:00:00Z", "by": "alice@hu-berlin"},
            "acceptance": known | {"ceiling": 10_000, "route": "direct", "by": "marie@nmi"},
            "receipt": known
            | payload
            | {"acceptance": id_of("acceptance"), "received": 5000, "reused": 0, "again": 0, "retries": 0}
            | {"route": "direct", "stores": ["main"], "started": TIME, "ended": TIME, "by": "marie@nmi"}
            | {"software": "diadem-em 1"},
            "closure": {"receipt": id_of("receipt"), "recipient": self.b.node, "bytes": 5000}
            | {"checkpoint": self.b.ledger.checkpoint()},
        }

    def files(self) -> list[bytes]:
        return [self.a.export(package(1)), self.b.export(package(1))]


ALL = ("offer", "acceptance", "receipt", "closure")


def two(folder: Path, **bent: Mapping[str, Any]) -> Two:
    """Both, in folders of their own."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    return Two(Group(folder / "a").create(MemoryMirror()), _nmi(folder / "b", new=True), bent)


def _nmi(folder: Path, *, new: bool) -> Group:
    """The second node, with Marie as its user."""
    group = Group(folder, root=key(11), online=key(12), log=key(13), alice=key(14))
    if not new:
        return group.open(MemoryMirror())
    origin = "diadem-em.org/log/nmi"
    group.ledger = Ledger.create(folder, origin=origin, log_key=group.log, node=group.node, clock=group.clock)
    group.ledger.mirrors.stores = (MemoryMirror(),)
    group.ledger.append(
        node_card(name="nmi", root=group.root.public, online=group.online.public, log=group.log.public), [group.root]
    )
    group.ledger.append([user_card(name="marie@nmi", key=group.alice.public)], [group.online])
    return group


def step_of(report: CustodyReport) -> CustodyStep:
    (step,) = [step for step in report.steps if step.kind == "transfer"]
    return step


def checked(made: Two, *kinds: str, pins: list[str] | None = None) -> CustodyStep:
    for kind in kinds:
        made.say(kind)
    return step_of(verify_chains(made.files(), pins=pins))


def test_both_say_the_same(tmp_path: Path) -> None:
    made = two(tmp_path)
    step = checked(made, "offer", "acceptance")
    assert (step.verdict, step.reason) == (Verdict.PROVED, None)
    assert step.sentence == (
        "Both sides, hu-berlin and nmi, say the same about the transfer 5d6a3f90…: offered and accepted."
    )
    step = checked(made, "receipt")
    assert (step.verdict, step.reason) == (Verdict.CLAIMED, "hu-berlin has not confirmed that it saw the receipt")
    step = checked(made, "closure")
    assert step.verdict is Verdict.PROVED
    assert step.sentence.endswith(
        "say the same about the transfer 5d6a3f90…: offered, accepted, received and confirmed."
    )
    assert verify_chains(made.files()).ok
    unpinned = step_of(verify_chains(made.files(), pins=[made.a.node]))
    assert (unpinned.verdict, unpinned.reason) == (Verdict.CLAIMED, "the node's id is not one of those that you trust")
    alone = verify_chains(made.files()[:1])
    assert not [step for step in alone.steps if step.kind == "transfer"], "of one side nothing is compared"


BENT: list[tuple[str, str, Any, str]] = [
    ("offer", "recipient", OTHER, ""),
    ("offer", "payload_id", OTHER, "the receipt of nmi names another payload"),
    ("offer", "to", "bob@nmi", "offered to bob@nmi and accepted by marie@nmi"),
    ("acceptance", "offer", OTHER, "the acceptance of nmi names another offer"),
    ("acceptance", "package", f"diadem:{OTHER}", "names another package"),
    ("receipt", "offer", OTHER, "the receipt of nmi names another offer"),
    ("receipt", "acceptance", OTHER, "names another acceptance"),
    ("receipt", "package", f"diadem:{OTHER}", "names another package"),
    ("receipt", "payload_id", OTHER, "names another payload"),
    ("receipt", "bytes", 4999, "names another number of bytes"),
    ("closure", "receipt", OTHER, "the closure of hu-berlin names another receipt"),
]


@pytest.mark.parametrize(("kind", "member", "value", "why"), BENT)
def test_what_differs_is_contradicted(tmp_path: Path, kind: str, member: str, value: Any, why: str) -> None:
    made = two(tmp_path, **{kind: {member: value}})
    for said in ALL:
        made.say(said)
    report = verify_chains(made.files())
    step = step_of(report)
    assert step.verdict is Verdict.CONTRADICTED
    assert why in str(step.reason)
    assert not report.ok


def test_what_names_another_node_is_held_against_nobody_here(tmp_path: Path) -> None:
    made = two(tmp_path, acceptance={"sender": OTHER}, receipt={"sender": OTHER})
    step = checked(made, *ALL)
    assert step.verdict is Verdict.CONTRADICTED
    assert "another sender" in str(step.reason)


def test_one_side_is_missing(tmp_path: Path) -> None:
    made = two(tmp_path)
    for kind in ("offer", "acceptance"):
        made.say(kind)
    early = made.b.export(package(1))
    for kind in ("receipt", "closure"):
        made.say(kind)
    step = step_of(verify_chains([made.a.export(package(1)), early]))
    assert (step.verdict, step.sentence) == (
        Verdict.MISSING,
        "One side of the transfer 5d6a3f90… between hu-berlin and nmi is missing.",
    )
    assert "confirms a receipt that the chain of nmi does not have" in str(step.reason)
    assert "exported before" in str(step.reason)


def test_an_offer_that_was_never_made_and_a_receipt_without_acceptance(tmp_path: Path) -> None:
    made = two(tmp_path)
    made.a.say(fixity(1))
    step = checked(made, "acceptance")
    assert (step.verdict, step.reason) == (
        Verdict.MISSING,
        "the chain of hu-berlin has no offer that the acceptance of nmi names",
    )
    step = checked(made, "offer")
    assert step.verdict is Verdict.CONTRADICTED, "the acceptance named another one"
    (tmp_path / "second").mkdir()
    later = two(tmp_path / "second")
    step = checked(later, "offer", "receipt")
    assert (step.verdict, step.reason) == (Verdict.MISSING, "the chain of nmi has a receipt and no acceptance")


def test_two_of_a_kind_contradict_each_other(tmp_path: Path) -> None:
    made = two(tmp_path)
    step = checked(made, *ALL, "receipt")
    assert (step.verdict, step.reason) == (Verdict.CONTRADICTED, "nmi says more than one receipt of it")


def test_the_checkpoint_of_a_closure_is_one_that_shows_the_receipt(tmp_path: Path) -> None:
    made = two(tmp_path)
    before = made.b.ledger.checkpoint()
    made.bent = {"closure": {"checkpoint": before}}
    step = checked(made, *ALL)
    assert (step.verdict, step.reason) == (
        Verdict.CONTRADICTED,
        "the checkpoint of nmi is older than the receipt, as hu-berlin names it",
    )
    for folder, checkpoint in (("own", None), ("none", "no checkpoint\n1\n\n")):
        (tmp_path / folder).mkdir()
        other = two(tmp_path / folder)
        for kind in ALL[:3]:
            other.say(kind)
        other.bent = {"closure": {"checkpoint": checkpoint or other.a.ledger.checkpoint()}}
        step = checked(other, "closure")
        assert step.verdict is Verdict.MISSING
        assert "no log key in these files signed" in str(step.reason)


def test_a_log_that_is_another_than_the_one_the_sender_saw(tmp_path: Path) -> None:
    """The receiver shows the reader another log than the one that it showed to the sender."""
    made = two(tmp_path)
    for kind in ALL[:3]:
        made.say(kind)
    made.b.ledger.close()
    shutil.copytree(tmp_path / "b", tmp_path / "twin")
    made.b.open(MemoryMirror())
    made.b.say(fixity(1))
    made.say("closure")
    twin = _nmi(tmp_path / "twin", new=False)
    twin.say(fixity(2))
    step = step_of(verify_chains([made.a.export(package(1)), twin.export(package(1))]))
    assert step.verdict is Verdict.CONTRADICTED
    assert "the log of nmi is not the one of its checkpoint" in str(step.reason)


def test_statements_of_another_form_are_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.custody.log.validate_draft", lambda _: None)
    made = two(tmp_path, closure={"receipt": 5})
    step = checked(made, *ALL)
    assert step.verdict is Verdict.CLAIMED, "a closure that nobody can read is none"
