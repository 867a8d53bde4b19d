"""What its owner corrected goes with a package: proven, shown, kept; nothing counts that its owner did not sign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import diadem
from diadem.custody import statements
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import DiademError
from diadem.model.transfers import State, TransferEvent, new_id
from diadem.network.incoming import receive
from diadem.network.mail.delivery import message_of
from diadem.network.messages import OFFER
from diadem.network.outbox import Outgoing
from diadem.node.quality.amend import sheet_of
from diadem.trust.keys import PrivateKey
from tests.cli.inside import said
from tests.transfer.pair import Pair
from tests.transfer.test_landing import fetch
from tests.transfer.towns import Town


def corrected(node: diadem.Node, package: str) -> tuple[str, str]:
    """What the record says of sample and project now."""
    record = node.get(package).record
    return str(record.sample.get("name", "")), str(record.session.get("project", ""))


def given(pair: Pair, package: str) -> None:
    """Send a package, and take it."""
    sent = pair.a.node.send(package, "marie@nmi")
    assert pair.b.node.accept(sent.id).state is State.CLOSED


def test_the_owners_corrections_come_with_a_package_and_survive_a_reindex(pair: Pair) -> None:
    package = pair.a.archived()
    pair.a.node.amend(package, {"sample.name": "EMSA-OLD"})
    first = pair.a.node.amend(package, {"sample.name": "EMSA-REF"}, reason="label was wrong")
    pair.a.node.users.add("bob")
    stranger = diadem.open_node(pair.a.node.path, user="bob")
    stranger.amend(package, {"session.project": "not his to say"})
    stranger.close()
    given(pair, package)
    assert corrected(pair.b.node, package) == ("EMSA-REF", "")
    told = pair.b.node.amendments(package)
    assert [one.by for one in told.said] == ["alice@hu-berlin", "alice@hu-berlin"]
    assert told.said[-1].statement_id == first.statement_id
    assert [row.sample for row in pair.b.node.search("sample:EMSA-REF").rows] == ["EMSA-REF"]
    assert not pair.b.node.search("sample:EMSA-OLD").rows
    sentences = [step.sentence for step in pair.b.node.custody(package).steps]
    assert any("2 corrections by alice@hu-berlin came with the package from" in one for one in sentences)
    pair.b.node.reindex()
    assert corrected(pair.b.node, package) == ("EMSA-REF", "")
    pair.b.node.amend(package, {"session.project": "P7"})
    assert corrected(pair.b.node, package) == ("EMSA-REF", "P7")
    assert pair.b.node.amendments(package).said[-1].predecessor == first.statement_id, "the new owner goes on"


def test_what_is_corrected_while_it_travels_comes_with_the_last_message(pair: Pair) -> None:
    package = pair.a.archived()
    transfer = pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id, wait=False)
    pair.a.node.amend(package, {"sample.name": "S-13"})
    assert fetch(pair, transfer).state is State.RECEIVED
    pair.b.node.transfers.sync()
    assert corrected(pair.b.node, package)[0] == "S-13"
    pair.a.node.amend(package, {"sample.name": "S-14"})
    assert corrected(pair.b.node, package)[0] == "S-13"
    given(pair, package)  # it is sent again
    assert corrected(pair.b.node, package)[0] == "S-14"


def test_corrections_go_on_to_a_third_node_on_a_disk(town: Town, tmp_path: Path) -> None:
    town.meet("hu-berlin", "nmi")
    town.meet("nmi", "oslo")
    a, b, c = (town.node(name) for name in ("hu-berlin", "nmi", "oslo"))
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "notes.txt").write_text("notes")
    package = str(a.archive(tmp_path / "session", now=True).package.id)
    a.amend(package, {"sample.name": "EMSA-REF"})
    a.export(package, tmp_path / "one", to="alice@nmi")
    b.import_(tmp_path / "one")
    assert corrected(b, package)[0] == "EMSA-REF"
    b.amend(package, {"session.project": "P7"})
    b.export(package, tmp_path / "two", to="alice@oslo")
    c.import_(tmp_path / "two")
    assert corrected(c, package) == ("EMSA-REF", "P7")
    assert [one.by for one in c.amendments(package).said] == ["alice@hu-berlin", "alice@nmi"]
    assert "alice@hu-berlin" in said("amend", package, "--node", str(c.path))


def test_who_got_a_package_corrects_it_for_nobody_who_had_it_before(pair: Pair) -> None:
    package = pair.a.archived()
    given(pair, package)
    pair.b.node.amend(package, {"sample.name": "Z-9", "session.project": "P7"})
    sent = pair.b.node.send(package, "alice@hu-berlin")
    assert pair.a.node.accept(sent.id).state is State.CLOSED
    assert corrected(pair.a.node, package) == ("", "")
    told = pair.a.node.amendments(package)
    assert [(one.by, told.corrections.is_owners(one)) for one in told.said] == [("marie@nmi", False)]
    assert pair.a.node.search("Z-9").total == 1, "it is found, as what others say"
    pair.a.node.amend(package, {"sample.name": "S-13"})
    given(pair, package)
    assert [one.by for one in pair.b.node.amendments(package).said] == ["alice@hu-berlin", "marie@nmi"]
    assert corrected(pair.b.node, package) == ("Z-9", "P7"), "the owner here has the last word"


def test_corrections_that_do_not_hold_are_refused_before_a_byte_moves(pair: Pair) -> None:
    package = pair.a.archived()
    pair.a.node.amend(package, {"sample.name": "S-13"})
    sheet = sheet_of(pair.a.node.context, package)
    assert sheet is not None
    ours, theirs = pair.a.node.context.keys.open("online"), PrivateKey.generate()

    def signed(**other: Any) -> str:
        parts: dict[str, Any] = {
            "node": sheet.node,
            "package": package,
            "owners": sheet.owners,
            "keys": sheet.keys,
            "key": ours,
        }
        parts |= {"amendments": sheet.amendments, "earlier": ()}
        return CorrectionSheet.signed(**(parts | other)).to_line().decode()

    wrong = {
        "who does not own the package": signed(owners=["carl@hu-berlin"]),
        "not signed by the node that it names": signed(key=theirs),
        "another package": signed(package="diadem:" + "ab" * 32, amendments=()),
        "another node than the sender's": signed(node=pair.b.node.id, amendments=(), keys=()),
        "it has not the form": "{}",
    }
    sent = pair.a.node.send(package, "marie@nmi")
    for number, (why, text) in enumerate(wrong.items()):
        new = replace(sent, id=f"{number:032}")
        pair.a.node.context.say([statements.offer(new, to="marie@nmi", grant=sent.grant, by=sent.sender)], as_user=True)
        pair.a.desk.book.add(new, TransferEvent(State.OFFERED, "2026-03-14T09:26:53Z"))
        said = message_of(pair.a.desk, Outgoing(new_id(), pair.b.id, new.id, OFFER, {}))
        said = structs.replace(said, about={**said.about, "corrections": text})
        with pytest.raises(DiademError) as caught:
            receive(pair.b.desk, pair.a.id, said.to_bytes())
        assert why in caught.value.message or why.startswith("it has"), caught.value
    assert [one.id for one in pair.b.node.inbox()] == [sent.id]
