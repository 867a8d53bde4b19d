"""What statements say, in one plain sentence."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.custody import statements
from diadem.custody.sentences import sentence
from diadem.custody.statements import head, node_card, recovery, user_card
from diadem.model.plain_text import size_text
from diadem.model.statement_kinds import KINDS
from diadem.model.statements import Draft, Statement, Subject
from tests.custody.group import Group, fixity, ingest, key, package

SUBJECT = Subject.package(package(1))
NODE = key(1).public.key_id
DIGEST = "ab" * 32


def said(draft: Draft) -> str:
    prev = {subject.sha256: None for subject in draft.subjects}
    time = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
    return sentence(draft.entered(node=NODE, time=time, salt="0" * 32, prev=prev), {NODE: "hu-berlin"})


def of(kind: str, **predicate: Any) -> str:
    return said(Draft(kind, (SUBJECT,), predicate))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            said(ingest(1)),
            ("120 files (3.2 GB) from D:/TEM/2026-03-14 were archived in the store main for alice@hu-berlin."),
        ),
        (
            said(fixity(1, 2, 3)),
            (
                "the node hu-berlin checked 3 packages in the store main (every byte, in leaves "
                "of 1 MiB) and found nothing wrong."
            ),
        ),
        (
            of(
                "assessment",
                purpose="EELS",
                criterion="thickness",
                verdict="limited",
                value=0.9,
                unit="λ",
                target={"dataset": "d3", "signal": "s1"},
                comment="thick at the edge.",
                by="bob@hu-berlin",
            ),
            (
                "bob@hu-berlin accepted, with limits, the signal s1 of the dataset d3 of the package for EELS by the "
                "criterion thickness (0.9 λ): thick at the edge."
            ),
        ),
        (
            of(
                "assessment",
                purpose="any use",
                verdict="reject",
                target={},
                machine={"plugin": "saturation", "version": "1"},
                replaces=DIGEST,
                by="bob@hu-berlin",
            ),
            (
                "bob@hu-berlin, by the program saturation, rejected the package for any use, in place of an earlier "
                "assessment."
            ),
        ),
        (
            of(
                "derivation",
                result=f"diadem:{package(1)}",
                sources=[{"package": f"diadem:{package(2)}", "path": "a"}, {"package": f"diadem:{package(2)}"}],
                software=[{"name": "hyperspy", "version": "2.3"}],
                comment="thickness",
                by="bob@hu-berlin",
            ),
            (
                f"bob@hu-berlin stated that diadem:{package(1)[:12]}… was made from diadem:{package(2)[:12]}… with "
                "hyperspy 2.3: thickness."
            ),
        ),
        (
            of(
                "fixity",
                store="nas",
                level="full",
                findings=[
                    {"package": f"diadem:{package(1)}", "code": "leaf-mismatch", "path": "data/a.dm4", "leaf": 3}
                ],
            ),
            (
                "the node hu-berlin checked 1 package in the store nas (every byte, and the "
                f"SHA-256 of every file) and found damage: leaf-mismatch in data/a.dm4 of diadem:{package(1)[:12]}…."
            ),
        ),
        (
            of("replicate", payload_id=DIGEST, store="nas", **{"from": "main"}, proof="read-back", by="bob@hu-berlin"),
            (
                "bob@hu-berlin copied the package from the store main to the store nas; it was read "
                "back and every byte is right."
            ),
        ),
        (
            of(
                "repair",
                store="nas",
                payload_id=DIGEST,
                path="data/a.dm4",
                leaf=3,
                **{"from": "main"},
                before=None,
                after=DIGEST,
            ),
            (
                "the node hu-berlin replaced the damaged leaf 3 (1 MiB) of the file data/a.dm4 in the "
                "store nas with proven bytes from the copy in main."
            ),
        ),
        (
            of(
                "drop",
                store="old",
                reason="the disk is full.",
                proofs=[{"store": "nas", "level": "leaves", "at": "2026-03-01T00:00:00Z"}],
            ),
            (
                "the node hu-berlin removed the copy in the store old while these remained: nas "
                "(checked 2026-03-01), because: the disk is full."
            ),
        ),
        (
            of("tombstone", reason="a test", payload_id=DIGEST, retention=None, by="alice@hu-berlin"),
            ("alice@hu-berlin deleted the package from every store; what was said about it remains, because: a test."),
        ),
        (
            of("handover", to="Marie Curie <m@x.org>", form="zip", redacted=["person.operator"]),
            (
                "the node hu-berlin gave the package to Marie Curie <m@x.org> (zip) without some of "
                "its metadata; that it arrived is not attested by anyone else."
            ),
        ),
        (
            of("countersign", by="alice@hu-berlin", reason="I took these images"),
            "alice@hu-berlin vouched for a statement of another, because: I took these images.",
        ),
        (
            of("amendment", predecessor=None, changes=[{"field": "sample.name", "value": "S-12"}], by="a@hu-berlin"),
            "a@hu-berlin corrected the record: sample.name.",
        ),
        (
            of("audit", action="read diadem:1f0c", actor="eve@nmi", outcome="refused"),
            "eve@nmi asked for: read diadem:1f0c; it was refused.",
        ),
        (
            of("rule", **{"from": "marie@nmi"}, max_bytes=50_000_000_000, expires=None, by="alice@hu-berlin"),
            "alice@hu-berlin agreed to accept offers from marie@nmi of up to 50 GB.",
        ),
        (
            of(
                "grant",
                to="marie@nmi",
                rights=["list", "read"],
                by="alice@hu-berlin",
                expires="2027-03-14T00:00:00Z",
                require=["direct-only"],
            ),
            ("alice@hu-berlin allowed marie@nmi to list and read 1 package until 2027-03-14, and only without a hub."),
        ),
        (
            of("grant", to="*@nmi", rights=["read"], by="a@b", expires=None, scope="project", label="ZnO"),
            "a@b allowed *@nmi to read what belongs to the project ZnO until it is revoked.",
        ),
        (
            of("revocation", revokes=DIGEST, by="alice@hu-berlin", reason="the wrong session"),
            (
                "alice@hu-berlin revoked the statement abababababab…; what was delivered before stays delivered, "
                "because: the wrong session."
            ),
        ),
        (
            of("decline", transfer="0" * 32, offer=DIGEST, by="marie@nmi", reason="we have it"),
            "marie@nmi declined the offer, because: we have it.",
        ),
        (
            of(
                "receipt",
                transfer="0" * 32,
                offer=DIGEST,
                acceptance=DIGEST,
                package=SUBJECT.name,
                payload_id=DIGEST,
                bytes=3_200_000_000,
                received=3_201_000_000,
                reused=0,
                again=1_000_000,
                route="direct",
                retries=1,
                stores=["main"],
                started="2026-03-14T09:26:53Z",
                ended="2026-03-14T09:28:01Z",
                by="marie@nmi",
            ),
            (
                "the node hu-berlin received the package for marie@nmi and proved every byte in main: 3.2 GB came "
                "directly, 1 MB of them again."
            ),
        ),
        (
            of(
                "permit",
                relay="ab" * 16,
                hub="12" * 32,
                sender="34" * 32,
                recipient=NODE,
                ceiling=3_300_000_000,
                expires="2026-03-28T09:26:53Z",
            ),
            (
                "the node hu-berlin allowed the node 121212121212… to keep for it at most 3.3 GB of sealed windows from"
                " the node 343434343434…, until 2026-03-28."
            ),
        ),
        (
            of(
                "relay",
                relay="ab" * 16,
                permit=DIGEST,
                sender="12" * 32,
                recipient="34" * 32,
                event="expired",
                objects=1,
                bytes=1700,
                sha256=DIGEST,
                first="2026-03-14T09:30:00Z",
                last="2026-03-28T09:30:12Z",
            ),
            (
                "the node hu-berlin stored 1 sealed window (1.7 kB) of the node 121212121212… for the node"
                " 343434343434… from 2026-03-14 09:30 UTC on and deleted the last by 2026-03-28 09:30 UTC, because"
                " nobody took them in time."
            ),
        ),
        (
            of("peer", event="confirmed", peer=DIGEST, name="nmi", by="alice@hu-berlin"),
            "alice@hu-berlin confirmed that the node nmi is the one that it says it is.",
        ),
        (
            said(user_card(name="alice@hu-berlin", key=key(4).public, custody="user-held")),
            ("the node hu-berlin vouched for the key of alice@hu-berlin, which nobody else has (version 1)."),
        ),
        (
            said(node_card(name="hu-berlin", root=key(1).public, online=key(2).public, log=key(3).public)[2]),
            "the node hu-berlin named its key for its log (version 1).",
        ),
        (
            said(recovery(node=NODE, epoch=2, previous=None, reason="lightning")),
            (
                "the node hu-berlin was restored after a loss and began epoch 2 of its log; nothing "
                "of the log was left, because: lightning."
            ),
        ),
        (
            said(head(SUBJECT, last=DIGEST, length=1, epoch=1, size=9)),
            "the node hu-berlin said that its log holds 1 statement on this subject and no more.",
        ),
    ],
)
def test_sentences(text: str, expected: str) -> None:
    assert text == f"On 14 March 2026, 09:26 UTC, {expected}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_sentence(kind: str) -> None:
    """Also with members that are not what the kind demands, or of a later version."""
    text = of(kind, purpose="of a later version")
    assert text.startswith("On 14 March 2026")
    assert text.endswith(".")
    assert "\n" not in text
    assert f"of the kind '{kind}'" not in text


def test_every_kind_has_one_place_that_makes_it() -> None:
    """Under its name, but for the card of a key; `countersign` is read and not yet said."""
    made = {name for name in KINDS if callable(getattr(statements, name, None))}
    assert set(KINDS) - made == {"key", "countersign"}
    root = Path(statements.__file__).parents[1]
    others = [path for path in root.rglob("*.py") if re.search(r"(?<!\w)(?<!class )Draft\(", path.read_text("utf-8"))]
    assert {path.name for path in others} == {"statements.py"}


def test_a_kind_that_is_not_known() -> None:
    added = {"node": NODE, "time": "2026-03-14T09:26:53Z", "salt": "0" * 32, "prev": {SUBJECT.sha256: None}}
    text = sentence(Statement("polish", (SUBJECT,), added))
    assert text == (
        f"On 14 March 2026, 09:26 UTC, the node {NODE[:12]}… noted a statement of the kind 'polish', "
        "which this version does not understand."
    )


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1, max_size=400))
def test_free_texts_stay_one_line(text: str) -> None:
    shown = of("audit", action="x" + text, actor="y" + text, outcome="failed", reason="z" + text)
    assert shown.isprintable()
    assert len(shown) < 900


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (99_960, "100 kB"),
        (999_600, "1 MB"),
        (5 * 10**15, "5 PB"),
    ],
)
def test_sizes(count: int, expected: str) -> None:
    assert size_text(count) == expected


def test_the_ledger_speaks(group: Group) -> None:
    assert "named its root key" in sentence(group.ledger.entry(0).statement)
