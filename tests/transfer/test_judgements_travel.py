"""What is said of data goes with a package, and stays its sender's word; what nobody signed costs nothing else."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

import diadem
from diadem.custody.corrections import CorrectionSheet
from diadem.errors import QualityWarning
from diadem.model.ports import silent
from diadem.model.transfers import State
from diadem.network.messages import OFFER, Message
from diadem.network.push import push_package
from diadem.network.source import Sources
from diadem.node.quality.amend import sheet_of
from tests.cli.inside import said, said_json
from tests.transfer.pair import Pair
from tests.transfer.towns import Town


def judged(node: diadem.Node, package: str) -> list[tuple[str, str, str]]:
    """Who says what of it, for what."""
    return [(one.by, one.verdict, one.purpose) for one in node.assessments(package)]


def given(pair: Pair, package: str) -> None:
    """Send a package, and take it."""
    sent = pair.a.node.send(package, "marie@nmi")
    assert pair.b.node.accept(sent.id).state is State.CLOSED


def doubted(pair: Pair) -> str:
    """A package at the first node that its owner accepts, and a colleague rejects."""
    image = io.BytesIO()
    np.save(image, np.arange(12.0).reshape(3, 4))
    package = pair.a.archived(files={"image.npy": image.getvalue()})
    pair.a.node.amend(package, {"sample.name": "EMSA-OLD"})
    pair.a.node.amend(package, {"sample.name": "EMSA-REF"}, reason="the label was wrong")
    pair.a.node.assess(package, "accept", purpose="imaging")
    pair.a.node.users.add("bob")
    with diadem.open_node(pair.a.node.path, user="bob") as bob:
        bob.assess(package, "reject", purpose="imaging", comment="drifts in the last rows")
    return package


@pytest.mark.parametrize("way", ["a ZIP", "a disk"])
def test_an_import_says_how_much_was_said_of_its_package(pair: Pair, tmp_path: Path, way: str) -> None:
    package, place = doubted(pair), tmp_path / ("out.zip" if way == "a ZIP" else "disk")
    plain = pair.a.archived("plain", files={"notes.txt": b"notes"})
    there, here = ("--node", pair.a.node.path), ("--node", pair.b.node.path)
    whom = ("--for", "Marie") if way == "a ZIP" else ("--to", "marie@nmi")
    said("export", package, place, *whom, *there)
    assert "brought" not in said("import", place, "--dry-run", *here)
    told = said("import", place, *here)
    assert "brought          2 corrections and 2 judgements" in told, told
    again = said_json("import", place, *here)["brought"]
    assert again == {"corrections": 0, "judgements": 0, "doubts": 0}, "all of it was here"
    pair.a.node.amend(package, {"sample.name": "EMSA-3"})
    said("export", package, place.with_name("newer.zip"), "--for", "Marie", *there)
    newer = said_json("import", place.with_name("newer.zip"), *here)["brought"]
    assert newer == {"corrections": 3, "judgements": 2, "doubts": 0}
    said("export", plain, place.with_name("plain.zip"), "--for", "Marie", *there)
    assert "brought" not in said("import", place.with_name("plain.zip"), *here)


def test_open_doubts_come_with_a_package_and_stay_their_senders(pair: Pair) -> None:
    package = doubted(pair)
    given(pair, package)
    here = pair.b.node
    expected = [("alice@hu-berlin", "accept", "imaging"), ("bob@hu-berlin", "reject", "imaging")]
    assert judged(here, package) == expected
    assert {one.node for one in here.assessments(package)} == {pair.a.id}
    assert len(here.assessments(package).disputes) == 1
    assert [row.id for row in here.search("quality:reject").rows] == [package]
    assert not here.search("not:assessed").rows
    assert "others disagree" in here.warnings(package)[0].sentence
    shown = said("show", package, "--node", str(here.path))
    assert all(one in shown for one in ("bob@hu-berlin", "drifts in the last rows", "EMSA-REF")), shown
    assert "bob@hu-berlin" in here.show(package)._repr_html_()
    told = said_json("assess", package, "--node", str(here.path))
    assert [one["node"] for one in told["assessments"]] == [pair.a.id] * 2
    assert "EMSA-REF" in said("amend", package, "--node", str(here.path))
    with pytest.warns(QualityWarning, match="bob@hu-berlin"):
        here.get(package).load("image.npy")
    steps = [step.sentence for step in here.custody(package).steps]
    assert any("2 judgements by alice@hu-berlin and bob@hu-berlin came with the package" in one for one in steps)
    here.assess(package, "limited", purpose="imaging")
    here.reindex()
    assert judged(here, package) == [*expected, ("marie@nmi", "limited", "imaging")]
    assert [one.node for one in here.assessments(package)] == [pair.a.id, pair.a.id, ""]


def test_with_a_package_that_is_pushed_they_come_too(pair: Pair) -> None:
    package = doubted(pair)
    transfer = pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id, wait=False)
    pair.a.node.assess(package, "limited", purpose="EELS")
    push_package(pair.a.desk, Sources(pair.a.desk), transfer.id, listener=silent)
    assert pair.b.node.transfers.show(transfer.id).transfer.state is State.RECEIVED
    expected = [("alice@hu-berlin", "accept", "imaging"), ("bob@hu-berlin", "reject", "imaging")]
    assert judged(pair.b.node, package) == expected
    assert pair.b.node.get(package).record.sample["name"] == "EMSA-REF"
    pair.b.node.transfers.resume()
    assert pair.b.node.transfers.show(transfer.id).transfer.state is State.CLOSED
    assert sorted(judged(pair.b.node, package)) == sorted([*expected, ("alice@hu-berlin", "limited", "EELS")])
    assert {one.node for one in pair.b.node.assessments(package)} == {pair.a.id}


def test_what_is_judged_anew_is_told_when_the_two_talk_again(pair: Pair) -> None:
    package = pair.a.archived()
    first = pair.a.node.assess(package, "reject", purpose="EELS")
    transfer = pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id, wait=False)
    pair.a.node.assess(package, "limited", purpose="imaging")
    assert transfer.state is not State.CLOSED
    pair.b.node.transfers.resume(transfer.id)
    pair.b.node.transfers.sync()
    assert {verdict for _, verdict, _ in judged(pair.b.node, package)} == {"reject", "limited"}
    pair.a.node.assess(package, "accept", purpose="EELS", replaces=first.statement_id)
    given(pair, package)
    assert {(verdict, purpose) for _, verdict, purpose in judged(pair.b.node, package)} == {
        ("accept", "EELS"),
        ("limited", "imaging"),
    }
    assert not pair.b.node.search("quality:reject").rows
    stated = len(pair.b.node.context.ledger.of_kind("corrections"))
    given(pair, package)
    assert len(pair.b.node.context.ledger.of_kind("corrections")) == stated, "what is known is not stated again"


def test_doubts_about_sources_are_told_without_names_and_end_when_they_end(pair: Pair, tmp_path: Path) -> None:
    source = pair.a.archived()
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "thickness.csv").write_text("1,2,3")
    made = pair.a.node.derive(tmp_path / "result", from_=[source], software={"own": "7"}).package
    doubt = pair.a.node.assess(source, "reject", purpose="EELS", comment="the private words")
    given(pair, made)
    told = pair.b.node.warnings(made)
    assert [one.sentence for one in told] == [
        f"made from data with a warning; somebody@hu-berlin: {source[7:19]} is rejected for EELS"
    ]
    assert "somebody@hu-berlin" in said("show", made, "--node", str(pair.b.node.path))
    assert any("somebody@hu-berlin" in text for row in pair.b.node.search().rows for text in row.warnings)
    sheet = sheet_of(pair.a.node.context, made)
    assert sheet is not None
    assert sheet.judged["said"] == []
    assert "private words" not in json.dumps(sheet.judged)
    pair.a.node.assess(source, "accept", purpose="EELS", replaces=doubt.statement_id)
    given(pair, made)
    assert not pair.b.node.warnings(made)


@pytest.mark.parametrize("form", ["disk", "zip"])
def test_on_a_disk_and_in_a_zip_they_come_too_and_go_on_to_a_third_node(town: Town, tmp_path: Path, form: str) -> None:
    town.meet("hu-berlin", "nmi")
    town.meet("nmi", "oslo")
    a, b, c = (town.node(name) for name in ("hu-berlin", "nmi", "oslo"))
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "notes.txt").write_text("notes")
    sealed = {"sample": {"name": "S-WRONG"}}
    package = str(a.archive(tmp_path / "session", now=True, metadata=sealed).package.id)
    a.amend(package, {"sample.name": "EMSA-REF"})
    a.assess(package, "reject", purpose="EELS")

    def give(node: diadem.Node, other: diadem.Node, to: str, name: str) -> None:
        if form == "disk":
            node.export(package, tmp_path / name, to=to)
            other.import_(tmp_path / name)
        else:
            node.export(package, tmp_path / f"{name}.zip", for_=to)
            with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
                assert "is rejected for EELS" in archive.read("READ ME FIRST.html").decode()
            other.import_(tmp_path / f"{name}.zip")

    give(a, b, "alice@nmi", "one")
    b.assess(package, "limited", purpose="imaging")
    give(b, c, "alice@oslo", "two")
    for node in (b, c):
        assert str(node.get(package).record.sample["name"]) == "EMSA-REF"
        assert "sample.name   S-WRONG → EMSA-REF   alice@hu-berlin" in said("show", package, "--node", str(node.path))
        assert judged(node, package) == [("alice@hu-berlin", "reject", "EELS"), ("alice@nmi", "limited", "imaging")]
        assert [row.id for row in node.search("quality:reject purpose:EELS").rows] == [package]


def tampered(pair: Pair, package: str, monkeypatch: pytest.MonkeyPatch, **other: Any) -> str:
    """Take a package from a node that signs another sheet; what the custody then says of what came."""
    own = sheet_of(pair.a.node.context, package)
    assert own is not None
    parts: dict[str, Any] = {"keys": own.keys, "amendments": own.amendments, "earlier": (), "judgements": own.judged}
    key, honest = pair.a.node.context.keys.open("online"), pair.a.wire.post_message
    sheet = CorrectionSheet.signed(own.node, package, own.owners, key=key, **(parts | other)).to_line().decode()

    def post_message(data: bytes) -> bytes:
        said = Message.from_bytes(data)
        told = structs.replace(said, about={**said.about, "corrections": sheet}) if said.kind == OFFER else said
        return honest(told.to_bytes())

    monkeypatch.setattr(pair.a.wire, "post_message", post_message)
    given(pair, package)
    assert str(pair.b.node.get(package).record.sample["name"]) == "EMSA-REF", "the corrections are taken over"
    steps = [step.sentence for step in pair.b.node.custody(package).steps]
    return next(one for one in steps if "came with the package" in one)


def test_judgements_that_do_not_hold_are_left_out_and_nothing_else_is_lost(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, theirs = doubted(pair), pair.b.archived()
    pair.b.node.assess(theirs, "reject", purpose="EELS")
    pair.a.node.assess(pair.a.archived("other"), "reject", purpose="EELS")
    foreign = pair.b.node.context.ledger.of_kind("assessment")[0].to_item()
    elsewhere = pair.a.node.context.ledger.of_kind("assessment")[-1].to_item()
    own = sheet_of(pair.a.node.context, package)
    assert own is not None
    good, other = own.judged["said"]
    line = json.loads(other["line"])
    line["payload"] = base64.b64encode(base64.b64decode(line["payload"]).replace(b"reject", b"accept")).decode()
    forged = {**other, "line": json.dumps(line, separators=(",", ":"), sort_keys=True)}
    long = {**other, "line": other["line"] + " " * (300 << 10)}
    items = [good, foreign, elsewhere, forged, long, "nothing", {**other, "epoch": 0}]
    newest = {**own.judged, "length": 1 << 30, "said": items, "inherited": [{"package": "x"}]}
    told = tampered(pair, package, monkeypatch, judgements=newest)
    assert judged(pair.b.node, package) == [("alice@hu-berlin", "accept", "imaging")]
    assert "1 judgement by alice@hu-berlin came with the package" in told
    for number in range(2, len(items) + 1):
        assert f"hu-berlin: judgement {number}: " in told, told
    for why in ("judges another package", "the signature does not hold", "doubt 1 about a source"):
        assert why in told, told


def test_of_more_than_a_sheet_holds_the_doubts_go_and_the_rest_is_counted(pair: Pair) -> None:
    package = pair.a.archived()
    pair.a.node.assess(package, "reject", purpose="EELS")
    for number in range(20):
        pair.a.node.assess(package, "accept", purpose=f"purpose {number}", comment="x" * 4000)
    given(pair, package)
    came = judged(pair.b.node, package)
    assert ("alice@hu-berlin", "reject", "EELS") in came
    assert 1 < len(came) < 21
    steps = " ".join(step.sentence for step in pair.b.node.custody(package).steps)
    assert f"not {21 - len(came)} more, for which there was no room" in steps


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("nothing", "all judgements"),
        ({"epoch": 1, "length": 9, "said": ["x"] * 201, "left_out": 0, "inherited": []}, "more than 200 came"),
        ({"epoch": 0, "length": 9, "said": [], "left_out": 0, "inherited": []}, "epoch"),
    ],
)
def test_judgements_of_no_known_form_cost_nothing_else(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, member: Any, why: str
) -> None:
    package = doubted(pair)
    told = tampered(pair, package, monkeypatch, judgements=member)
    assert why in told, told
    assert len(judged(pair.b.node, package)) == 2, "they come with the last message, from the same node"


def test_what_an_earlier_version_wrote_still_opens(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pair.a.archived()
    pair.a.node.amend(package, {"sample.name": "EMSA-REF"})
    assert "1 correction by alice@hu-berlin came" in tampered(pair, package, monkeypatch, judgements=None)
    sheet = sheet_of(pair.a.node.context, package)
    assert sheet is not None
    assert sheet.judged is None, "and an earlier version reads what is written where nobody judged anything"
