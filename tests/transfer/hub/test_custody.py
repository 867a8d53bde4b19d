"""Custody of a package that came over a hub: who stored what, when it was deleted, and whether all agree."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.custody.report import CustodyStep, Verdict
from diadem.custody.statements import relay_digest, relay_subject
from diadem.errors import DocumentError
from diadem.model.manifest import PREFIX
from diadem.model.statements import Draft, Subject
from diadem.network.desk import desk_of
from diadem.network.relay.hub_evidence import keep_hub_chain
from tests.transfer.hub.harbour import HUB, A, B, C, Harbour, sha256

TIME = "2026-03-14T09:26:53Z"
WINDOWS = {f"2-{number}-1": bytes([number]) * (1000 + number) for number in range(3)}


@pytest.fixture
def package(harbour: Harbour, tmp_path: Path) -> str:
    """A package at the receiving node."""
    folder = tmp_path / secrets.token_hex(4)
    folder.mkdir()
    (folder / "scan.bin").write_bytes(secrets.token_bytes(100))
    return str(harbour.node(B).archive(folder, now=True).package.id)


def carried(harbour: Harbour) -> str:
    """A relay over which the windows went, and which has ended."""
    relay = harbour.opened()
    for name, data in WINDOWS.items():
        assert harbour.put(relay, name, data).status == 200
    harbour.taken(relay, *WINDOWS)
    harbour.end(relay)
    return relay


def received(harbour: Harbour, package: str, relay: str, **counts: Any) -> str:
    """What the receiving node states of the transfer; its id."""
    transfer, context = secrets.token_hex(16), harbour.node(B).context
    about = (Subject.package(package), Subject.named(f"transfer:{transfer}"))
    known = {"transfer": transfer, "offer": "ab" * 32, "package": package, "sender": harbour.id(A), "route": "hub"}
    said = {**known, "ceiling": 10_000, "by": f"alice@{B}", "relay": relay}
    said["seal"] = "age1" + "q" * 58
    (accepted,) = context.say([Draft("acceptance", about, said)], as_user=True)
    rows = [(name, sha256(data), len(data)) for name, data in WINDOWS.items()]
    took = {"hub": harbour.id(HUB), "relay": relay, "objects": len(rows), "bytes": sum(row[2] for row in rows)}
    said = {**known, "acceptance": accepted.statement_id, "payload_id": "12" * 32, "bytes": 100, "by": f"alice@{B}"}
    said |= {"received": 100, "reused": 0, "again": 0, "retries": 0, "stores": ["main"], "started": TIME, "ended": TIME}
    context.say([Draft("receipt", about, {**said, "relayed": [{**took, "sha256": relay_digest(rows), **counts}]})])
    return transfer


def keep(harbour: Harbour, transfer: str, relay: str) -> Path:
    """Fetch and keep the hub's chain, as the engine does at the end; where it is."""
    context = harbour.node(B).context
    chain = harbour.end(relay).said["chain"].encode()
    keep_hub_chain(desk_of(context), transfer, relay, harbour.id(HUB), chain)
    return context.folder / "network" / "chains" / transfer / f"{harbour.id(HUB)}.json"


def relay_step(steps: tuple[CustodyStep, ...]) -> CustodyStep:
    (step,) = [step for step in steps if step.kind == "relay" and step.statement_id is None]
    return step


def test_the_story_holds_here_and_offline(harbour: Harbour, package: str, tmp_path: Path) -> None:
    relay = carried(harbour)
    kept = keep(harbour, received(harbour, package, relay), relay)
    report = harbour.node(B).custody(package)
    assert report.ok, [step for step in report.steps if step.verdict in (Verdict.MISSING, Verdict.CONTRADICTED)]
    step = relay_step(report.steps)
    assert step.verdict is Verdict.PROVED
    assert "The hub hub and the nodes that have taken it say the same" in step.sentence
    assert "3 sealed windows, 3 kB" in step.sentence
    told = [one.sentence for one in report.steps if one.kind == "relay" and one.statement_id]
    assert len(told) == 1
    assert "stored 3 sealed windows (3 kB)" in told[0]
    assert "deleted the last by" in told[0]
    assert any("allowed the node" in one.sentence and one.kind == "permit" for one in report.steps)
    own = harbour.node(B).export_custody(package, tmp_path / "chain.json")
    copied = tmp_path / "hub.json"
    copied.write_bytes(kept.read_bytes())
    offline = diadem.verify_custody(own, copied, pins=[harbour.id(B), harbour.id(HUB)])
    assert offline.ok
    assert relay_step(offline.steps).verdict is Verdict.PROVED
    assert relay_step(diadem.verify_custody(own, copied, pins=[harbour.id(B)]).steps).verdict is Verdict.CLAIMED


def test_a_hub_that_claims_other_numbers_is_a_finding(harbour: Harbour, package: str) -> None:
    relay = carried(harbour)
    keep(harbour, received(harbour, package, relay, objects=2), relay)
    report = harbour.node(B).custody(package)
    assert not report.ok
    step = relay_step(report.steps)
    assert (step.verdict, step.node) == (Verdict.CONTRADICTED, harbour.id(HUB))
    assert "objects differ" in (step.reason or "")


def test_a_chain_of_something_else_is_not_kept(harbour: Harbour, package: str) -> None:
    relay, other = carried(harbour), carried(harbour)
    transfer = received(harbour, package, relay)
    desk = desk_of(harbour.node(B).context)
    chain = harbour.end(other).said["chain"].encode()
    with pytest.raises(DocumentError, match="something else"):
        keep_hub_chain(desk, transfer, relay, harbour.id(HUB), chain)
    with pytest.raises(DocumentError, match="another node"):
        keep_hub_chain(desk, transfer, other, harbour.id(C), chain)
    assert not (harbour.node(B).context.folder / "network" / "chains" / transfer).exists()


def test_the_hub_states_nothing_of_package_or_transfer(harbour: Harbour, package: str) -> None:
    relay = carried(harbour)
    transfer = received(harbour, package, relay)
    context = harbour.context
    lines = b"\n".join(entry.line for entry in context.ledger.entries(0, context.ledger.size))
    payloads = b"\n".join(
        entry.statement.to_payload() for entry in context.ledger.of_subject(relay_subject(relay).sha256)
    )
    known = payloads + lines + b"".join(path.read_bytes() for path in harbour.folder.rglob("*") if path.is_file())
    for secret in (package.removeprefix(PREFIX), transfer, f"alice@{B}"):
        assert secret.encode() not in known
