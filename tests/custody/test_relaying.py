"""A hub and the two nodes whose sealed windows it carried: they say the same, or not, or only the hub speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diadem.custody.log import Ledger
from diadem.custody.report import CustodyReport, CustodyStep, Verdict
from diadem.custody.statements import node_card
from diadem.custody.verify import verify_chains
from diadem.model.statements import Draft, Subject
from tests.custody.group import Group, MemoryMirror, key
from tests.custody.test_agreeing import ALL, OTHER, TIME, Two, two

RELAY = "7e" * 16
ABOUT = Subject.named(f"relay:{RELAY}")
SHA256 = "56" * 32


def hub_in(folder: Path) -> Group:
    folder.mkdir()
    group = Group(folder, root=key(21), online=key(22), log=key(23), alice=key(24))
    origin = "diadem-em.org/log/the-hub"
    group.ledger = Ledger.create(folder, origin=origin, log_key=group.log, node=group.node, clock=group.clock)
    group.ledger.mirrors.stores = (MemoryMirror(),)
    card = node_card(name="the-hub", root=group.root.public, online=group.online.public, log=group.log.public)
    group.ledger.append(card, [group.root])
    return group


class Three:
    """The two nodes, and the hub between them."""

    def __init__(self, folder: Path, *, taken: dict[str, Any] | None = None, put: dict[str, Any] | None = None) -> None:
        self.hub = hub_in(folder / "hub")
        here = {"hub": self.hub.node, "relay": RELAY}
        bent: dict[str, Any] = {"acceptance": {"relay": RELAY, "seal": "age1" + "q" * 58}}
        if taken is not None:
            bent["receipt"] = {"relayed": [{**here, "objects": 3, "bytes": 900, "sha256": SHA256, **taken}]}
        if put is not None:
            bent["closure"] = {"relayed": [{**here, "objects": 4, "bytes": 1000, **put}]}
        self.two: Two = two(folder / "nodes", **bent)
        for kind in ALL:
            self.two.say(kind)
        said = {"relay": RELAY, "hub": self.hub.node, "sender": self.two.a.node, "recipient": self.two.b.node}
        permit = Draft("permit", (ABOUT,), {**said, "ceiling": 2000, "expires": TIME})
        (entry,) = self.two.b.ledger.append([permit], [self.two.b.online])
        self.permit = entry.statement_id

    def says(self, event: str, objects: int, size: int, **changes: Any) -> None:
        said: dict[str, Any] = {
            "relay": RELAY,
            "permit": self.permit,
            "sender": self.two.a.node,
            "recipient": self.two.b.node,
        }
        said |= {"event": event, "objects": objects, "bytes": size, "sha256": SHA256, "first": TIME, "last": TIME}
        self.hub.ledger.append([Draft("relay", (ABOUT,), {**said, **changes})], [self.hub.online])

    def report(self, pins: list[str] | None = None) -> CustodyReport:
        files = [*self.two.files(), self.two.b.export(ABOUT.sha256), self.hub.export(ABOUT.sha256)]
        return verify_chains(files, pins=pins)

    def step(self, pins: list[str] | None = None) -> CustodyStep:
        (step,) = [one for one in self.report(pins).steps if one.kind == "relay" and one.statement_id is None]
        return step


def test_the_hub_and_both_nodes_say_the_same(tmp_path: Path) -> None:
    made = Three(tmp_path, taken={}, put={})
    made.says("delivered", 3, 900)
    made.says("deleted", 1, 100)
    assert made.report().ok
    step = made.step()
    assert (step.verdict, step.node) == (Verdict.PROVED, made.hub.node)
    assert step.sentence == (
        "The hub the-hub and the nodes that have taken and put it say the same about what it carried for the transfer"
        " 5d6a3f90…: 4 sealed windows, 1 kB."
    )
    told = [one.sentence for one in made.report().steps if one.kind == "relay" and one.statement_id]
    assert "stored 3 sealed windows (900 bytes)" in told[0]
    assert "deleted the last by 2026-03-14 09:26 UTC, because the transfer had ended" in told[1]
    foreign = made.step(pins=[made.two.a.node, made.two.b.node])
    assert foreign.verdict is Verdict.CLAIMED


def test_where_only_the_hub_speaks_it_is_a_claim(tmp_path: Path) -> None:
    made = Three(tmp_path)
    made.says("delivered", 3, 900)
    step = made.step()
    assert step.verdict is Verdict.CLAIMED
    assert step.sentence.startswith("Only the hub the-hub says")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([("delivered", 2, 900)], "objects differ"),
        ([("delivered", 3, 901)], "bytes differ"),
        ([("expired", 3, 900)], "delivered 0 sealed windows"),
        ([("delivered", 3, 900)], "had confirmed 4 of 1000 bytes"),
        ([("delivered", 3, 900), ("deleted", 9, 1101)], "more than nmi permitted"),
        ([("delivered", 3, 900), ("delivered", 1, 100)], "more than once"),
    ],
)
def test_a_hub_that_says_other_numbers_contradicts(
    tmp_path: Path, said: list[tuple[str, int, int]], reason: str
) -> None:
    made = Three(tmp_path, taken={}, put={})
    for event, objects, size in said:
        made.says(event, objects, size)
    step = made.step()
    assert step.verdict is Verdict.CONTRADICTED
    assert step.sentence.startswith("The hub the-hub contradicts the others")
    assert reason in (step.reason or "")
    assert not made.report().ok


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": OTHER}, "sha256 differ"),
        ({"sender": OTHER}, "other nodes"),
        ({"recipient": OTHER}, "other nodes"),
        ({"permit": OTHER}, "another permit"),
    ],
)
def test_a_hub_that_names_something_else_contradicts(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    made = Three(tmp_path, taken={})
    made.says("delivered", 3, 900, **changes)
    assert made.step().verdict is Verdict.CONTRADICTED
    assert reason in (made.step().reason or "")


def test_a_relay_of_another_transfer_says_nothing_of_this_one(tmp_path: Path) -> None:
    made = Three(tmp_path, taken={}, put={})
    made.says("delivered", 3, 900, relay="00" * 16)
    assert [one for one in made.report().steps if one.kind == "relay" and one.statement_id is None] == []
