"""Who had a package before goes on with it: the chains of its nodes come with the closure, by every route."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.custody import statements
from diadem.custody.chain import Chain
from diadem.custody.report import Verdict
from diadem.errors import DiademError
from diadem.model import canonical
from diadem.model.manifest import PackageId
from diadem.model.peers import PeerState
from diadem.model.statements import Draft
from diadem.model.transfers import Counts, State, Transfer
from diadem.network.desk import desk_of
from diadem.network.incoming import receive
from diadem.network.limits import MAX_MESSAGE
from diadem.network.mail.delivery import message_of
from diadem.network.messages import MAX_CUSTODY, RECEIPT
from diadem.node.config import ServerSettings
from diadem.node.peers.book import peer_book
from diadem.node.terminal import with_node
from tests.cli.inside import said
from tests.transfer.pair import Pair, Side, deliver_all
from tests.transfer.test_dishonest import NOW, told
from tests.transfer.test_landing import fetch
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.test_sent_on import given, sent_on
from tests.transfer.test_third_node import Three, three
from tests.transfer.test_through_a_real_hub import Fjord, fjord
from tests.transfer.towns import Town

__all__ = ["fjord", "three"]


def of_node(node: diadem.Node, package: str, other: str) -> dict[str, Verdict]:
    """What a node shows of another one's log about a package: each statement once, kinds and how far it is proven."""
    steps = [one for one in node.custody(package).steps if one.node == other and one.statement_id]
    assert len({one.statement_id for one in steps}) == len(steps)
    return {str(one.kind): one.verdict for one in steps}


def is_sound(node: diadem.Node, package: str) -> bool:
    """Whether nothing is missing or contradicted in a node's own view."""
    report = node.custody(package)
    return not report.of(Verdict.MISSING) and not report.of(Verdict.CONTRADICTED)


def came(node: diadem.Node, package: str) -> list[str]:
    """Ids of the nodes whose chains of a package are kept."""
    return sorted(path.stem for path in (node.path / "network/chains" / PackageId(package).hex).glob("*.json"))


def test_the_third_node_sees_who_had_a_package_before(three: Three) -> None:
    a, b, c = (three[name] for name in ("hu-berlin", "nmi", "oslo"))
    package = sent_on(three)
    assert of_node(c.node, package, a.id) == dict.fromkeys(("ingest", "grant", "offer", "closure"), Verdict.PROVED)
    assert of_node(c.node, package, b.id).keys() >= {"acceptance", "replicate", "receipt", "grant", "offer", "closure"}
    transfers = [one for one in c.node.custody(package).steps if one.kind == "transfer"]
    assert [one.verdict for one in transfers] == [Verdict.PROVED, Verdict.PROVED]
    given(b, c, package, "olaf@oslo")
    assert came(c.node, package) == sorted([a.id, b.id]), "each is kept once"
    assert is_sound(c.node, package)
    assert is_sound(b.node, package)
    book = peer_book(c.node.context)
    book.put(replace(book.get(a.id), state=PeerState.DROPPED))
    assert set(of_node(c.node, package, a.id).values()) == {Verdict.CLAIMED}, "a node that nobody here has met"
    assert f"hu-berlin  {a.id}" in said("custody", package, "--node", c.node.path)
    assert is_sound(c.node, package)


def test_who_had_it_comes_over_a_hub(fjord: Fjord) -> None:
    berlin, nmi = fjord.node("hu-berlin"), fjord.node("nmi")
    nmi.transfers.sync()
    package = archived(fjord)
    sent = berlin.send(package, "alice@nmi")
    nmi.inbox()
    assert nmi.accept(sent.id).route == "hub"
    for node in (berlin, nmi, berlin, nmi):
        node.transfers.sync()
    assert of_node(nmi, package, berlin.id).keys() == {"ingest", "grant", "offer", "closure"}
    assert is_sound(nmi, package)


def test_it_comes_where_the_sender_alone_can_call(pair: Pair) -> None:
    pair.a.desk.context.change_settings(lambda known: replace(known, server=ServerSettings()))
    package = pair.a.archived()
    pair.b.wire.down = True  # nobody calls the sender: it fetches the answers, and brings what it is told to
    sent = pair.a.node.send(package, "marie@nmi")
    transfer = pair.b.node.accept(sent.id, wait=False)
    pair.a.node.amend(package, {"sample.name": "S-13"})
    for _ in range(4):
        pair.a.node.transfers.sync()
    assert pair.b.desk.book.get(transfer.id).state is State.CLOSED
    assert came(pair.b.node, package) == [pair.a.id]
    assert pair.b.node.get(package).record.sample["name"] == "S-13"


def test_it_comes_after_a_disk_too(town: Town, tmp_path: Path) -> None:
    town.meet("hu-berlin", "nmi")
    a, b = town.node("hu-berlin"), town.node("nmi")
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "notes.txt").write_text("notes")
    package = str(a.archive(tmp_path / "session", now=True).package.id)
    a.export(package, tmp_path / "disk", to="alice@nmi")
    landed = b.import_(tmp_path / "disk").transfer
    closure = closure_of(b, a, landed)
    assert receive_all(b, a, closure) == "closed"
    assert of_node(b, package, a.id).keys() == {"ingest", "grant", "offer", "handover", "closure"}


def closure_of(receiver: diadem.Node, sender: diadem.Node, transfer: Transfer) -> dict[str, Any]:
    """What the sender answers to a receipt."""
    sides = [Side(one, desk_of(one.context), None, one.path) for one in (receiver, sender)]  # type: ignore[arg-type]
    (closure,) = told(sides[0], sides[1], transfer.id, RECEIPT)["messages"]
    return dict(closure)


def receive_all(receiver: diadem.Node, sender: diadem.Node, closure: dict[str, Any]) -> str:
    """Let the receiver take a closure; the state of the transfer."""
    data = canonical.encode(closure, where="closure")
    answer = receive(desk_of(receiver.context), sender.id, data)
    return str(canonical.decode(answer, where="answer", limit=1 << 20)["state"])


def arrived(pair: Pair, package: str) -> tuple[Transfer, dict[str, Any]]:
    """A transfer that the second node has received, and the closure that it is answered with."""
    transfer = pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id, wait=False)
    transfer = fetch(pair, transfer)
    assert transfer.state is State.RECEIVED
    return transfer, closure_of(pair.b.node, pair.a.node, transfer)


def test_a_node_of_an_earlier_version_is_sent_what_it_knows_and_sends_none(pair: Pair) -> None:
    package = pair.a.archived()
    transfer = pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id, wait=False)
    receipt = statements.receipt(transfer, Counts(), stores=["main"], started=NOW, ended=NOW, software="x")
    earlier = {name: value for name, value in receipt.predicate.items() if name != "custody"}
    pair.b.node.context.say([Draft(receipt.kind, receipt.subjects, earlier)])
    assert closure_of(pair.b.node, pair.a.node, transfer)["about"].keys() <= {"seen", "corrections"}
    package = pair.a.archived("another")
    transfer, closure = arrived(pair, package)
    assert closure["about"].pop("custody")
    assert receive_all(pair.b.node, pair.a.node, closure) == "closed"
    assert came(pair.b.node, package) == []
    assert is_sound(pair.b.node, package)


@pytest.mark.parametrize("to", ["*@nmi", "marie@nmi"])
def test_the_policy_says_to_whom_nobody_is_named(pair: Pair, to: str) -> None:
    policy = pair.a.node.path / "policy.toml"
    entry = f'[[transfer.allow]]\nwho = "owner"\nto = "{to}"\ncustody = false\n\n[[transfer.allow]]'
    policy.write_text(policy.read_text("utf-8").replace("[[transfer.allow]]", entry, 1), "utf-8")
    package = pair.a.archived()
    given(pair.a, pair.b, package, "marie@nmi")
    assert came(pair.b.node, package) == []
    assert of_node(pair.b.node, package, pair.a.id).keys() == {"offer", "closure"}
    assert "names people" not in said("send", package, "marie@nmi", "--node", pair.a.node.path)


def test_who_sends_is_told_that_people_are_named(pair: Pair) -> None:
    package, at = pair.a.archived(), ("--node", pair.a.node.path)
    assert "who had it until now is told too, which names people" in said("send", package, "marie@nmi", *at)
    (sent,) = pair.a.node.transfers.ls()
    assert pair.a.node.transfers.show(sent.id).custody
    pair.a.node.transfers.cancel(sent.id)
    assert not pair.a.node.transfers.show(sent.id).custody, "it is over"


def test_who_sends_is_told_which_chains_stay_behind(pair: Pair) -> None:
    package, at = pair.a.archived(), ("--node", pair.a.node.path)
    store = pair.a.node.context.settings.stated_store("main")
    many = [package, *(f"diadem:{number:064x}" for number in range(1500))]
    for count, left in ((5, 0), (1500, 1)):
        pair.a.node.context.say([statements.fixity(many[:count], store=store, level="full", proven=many[:count])])
        words = said("send", package, "marie@nmi", *at)
        sent = pair.a.node.transfers.ls(over=False)[0]
        shown = said("transfer", "show", sent.id, *at)
        assert pair.a.node.transfers.show(sent.id).custody_left == left
        advice = f"diadem export {package[7:19]} OUT.zip --for NAME"
        for text in (words, shown):
            assert "which names people" in text
            assert ("1 chain of it is too large for a message and stays behind" in text) == bool(left)
            assert (with_node(advice, f" --node {pair.a.node.path}") in text) == bool(left)
        pair.a.node.transfers.cancel(sent.id)


def test_custody_that_cannot_be_read_keeps_no_receipt_waiting_and_the_service_says_so(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    transfer, _ = arrived(pair, pair.a.archived())
    (receipt,) = [one for one in pair.b.desk.outbox.waiting() if one.kind == RECEIPT]
    data = message_of(pair.b.desk, receipt).to_bytes()
    receive(pair.a.desk, pair.b.id, data)
    kept = pair.a.node.path / "network" / "chains" / transfer.id / f"{pair.b.id}.json"
    kept.unlink()
    kept.mkdir()
    answer = canonical.decode(receive(pair.a.desk, pair.b.id, data), where="answer", limit=1 << 20)
    assert "custody" not in answer["messages"][0]["about"]
    assert f"transfer {transfer.id[:8]}: the recipient is not told who had the package" in caplog.text


@pytest.mark.parametrize(
    ("first", "second", "goes"), [(900, 500, ["nmi"]), (900, 5, ["hu-berlin", "nmi"]), (0, 1500, ["hu-berlin"])]
)
def test_what_a_message_does_not_hold_stays_behind_and_the_rest_goes(
    three: Three, first: int, second: int, goes: list[str]
) -> None:
    a, b, c = (three[name] for name in ("hu-berlin", "nmi", "oslo"))
    package = a.archived()
    for one, others in ((a, first), (b, second)):
        packages = [package, *(f"diadem:{number:064x}" for number in range(others))]
        store = one.node.context.settings.stated_store("main")
        if one is b:
            given(a, b, package, "marie@nmi")
        one.node.context.say([statements.fixity(packages, store=store, level="full", proven=packages)])
    done = b.node.transfers.show(given(b, c, package, "olaf@oslo")).transfer
    assert len(canonical.encode(closure_of(c.node, b.node, done), where="")) < MAX_MESSAGE - MAX_CUSTODY
    assert came(c.node, package) == sorted(three[name].id for name in goes)
    assert is_sound(c.node, package)


def test_a_closure_that_is_asked_for_again_brings_it_again_and_it_is_not_kept_with_the_answers(pair: Pair) -> None:
    _, closure = arrived(pair, pair.a.archived())
    (receipt,) = [one for one in pair.b.desk.outbox.waiting() if one.kind == RECEIPT]
    data = message_of(pair.b.desk, receipt).to_bytes()
    for _ in range(2):
        answer = canonical.decode(receive(pair.a.desk, pair.b.id, data), where="answer", limit=1 << 20)
        (again,) = answer["messages"][0]["about"]["custody"]
        assert (
            Chain.from_bytes(again.encode()).statements
            == Chain.from_bytes(closure["about"]["custody"][0].encode()).statements
        )
    kept = pair.a.desk.book.answered(receipt.id, pair.b.id)
    assert kept is not None
    assert b"ingest" not in kept
    assert b'"custody":[' not in kept


def test_a_policy_that_cannot_be_read_names_nobody_and_keeps_no_receipt_waiting(pair: Pair) -> None:
    arrived(pair, package := pair.a.archived())
    (receipt,) = [one for one in pair.b.desk.outbox.waiting() if one.kind == RECEIPT]
    (pair.a.node.path / "policy.toml").write_text("[transfer", "utf-8")
    del pair.a.node.context.policy  # as another process reads it
    data = message_of(pair.b.desk, receipt).to_bytes()
    answer = canonical.decode(receive(pair.a.desk, pair.b.id, data), where="answer", limit=1 << 20)
    assert "custody" not in answer["messages"][0]["about"]
    deliver_all(pair.b.desk)
    assert pair.b.node.transfers.show(receipt.transfer).transfer.state is State.CLOSED
    assert came(pair.b.node, package) == []


def test_a_node_that_is_called_otherwise_meanwhile_is_still_told_nothing(pair: Pair) -> None:
    policy = pair.a.node.path / "policy.toml"
    entry = '[[transfer.allow]]\nwho = "owner"\nto = "*@new"\ncustody = false\n\n[[transfer.allow]]'
    policy.write_text(policy.read_text("utf-8").replace("[[transfer.allow]]", entry, 1), "utf-8")
    package = pair.a.archived()
    sent = pair.a.node.send(package, "marie@nmi")
    assert pair.a.node.transfers.show(sent.id).custody
    pair.a.node.peers.rename("nmi", "new")
    assert not pair.a.node.transfers.show(sent.id).custody
    assert pair.b.node.accept(sent.id).state is State.CLOSED
    assert came(pair.b.node, package) == []


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        ("cut", "missing"),
        ("changed", "was changed"),
        ("no chain", ""),
        ("stretched", "a statement more than once"),
        ("of another package", ""),
        ("of a stranger", "does not know who signed it"),
    ],
)
@pytest.mark.sweep(3)
def test_what_is_wrong_with_it_is_told_and_keeps_no_transfer_open(
    pair: Pair, tmp_path: Path, spoilt: str, why: str
) -> None:
    package = pair.b.archived()
    pair.b.node.export(package, tmp_path / "b.zip", for_="Eve")
    with diadem.Node.create(tmp_path / "s" / "node", name="s", user="eve", store=str(tmp_path / "s" / "store")) as eve:
        eve.import_(tmp_path / "b.zip")
        strange = eve.export_custody(package, tmp_path / "strange.json").read_text("utf-8")
    pair.a.node.import_(tmp_path / "b.zip")
    other = pair.a.archived("other")
    transfer, closure = arrived(pair, package)
    good = Chain.from_bytes(closure["about"]["custody"][0].encode())
    chains = {
        "cut": replace(good, statements=good.statements[1:]).to_bytes().decode(),
        "changed": good.to_bytes().decode().replace('"index":', '"index":1', 1),
        "no chain": "{}",
        "stretched": replace(good, statements=good.statements * 3).to_bytes().decode(),
        "of another package": pair.a.node.export_custody(other, tmp_path / "other.json").read_text("utf-8"),
        "of a stranger": strange,
    }
    closure["about"]["custody"] = [chains[spoilt]]
    assert receive_all(pair.b.node, pair.a.node, closure) == "closed"
    assert came(pair.b.node, package) == came(pair.b.node, other) == []
    text = " ".join(said("transfer", "show", transfer.id, "--node", pair.b.node.path).split())
    assert ("custody not taken over" in text) == bool(why)
    assert why in text
    assert is_sound(pair.b.node, package)


def test_a_closure_with_too_many_chains_is_refused(pair: Pair) -> None:
    transfer, closure = arrived(pair, pair.a.archived())
    closure["about"]["custody"] *= 101
    with pytest.raises(DiademError, match="custody"):
        receive_all(pair.b.node, pair.a.node, closure)
    assert pair.b.desk.book.get(transfer.id).state is State.RECEIVED
