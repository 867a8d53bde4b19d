"""One physical sample through several labs and instruments: defined, split, linked, sent, found by any name."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.api import metadata_from_pairs
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.samples import Sample
from diadem.model.statements import Draft, Subject
from diadem.node.node import Node
from diadem.node.samples.story import SampleStory
from diadem.node.terminal import with_node
from tests import catalogues
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def archived_as(lab: Lab, folder: str, sample: str) -> str:
    """Archive a session that says of which sample it is; its package id."""
    source = lab.session(folder, files=2, size=100)
    return str(lab.node.archive(source, now=True, metadata={"sample": {"identifier": sample}}).package.id)


def titles(node: Node, query: str) -> list[str]:
    return sorted(row.title for row in node.search(query))


# -- the story -----------------------------------------------------------------------------------------------------


def test_one_sample_through_two_labs_and_two_instruments(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    said("sample", "add", "K-2026-007", "--name", "ZnO nanorods", "--lab", "NMI", "--made", "2026-03-01", *on)
    said("sample", "split", "K-2026-007", "S-12", "S-13", *on)
    said("sample", "send", "S-12", "--to", "hu-berlin", "--date", "2026-03-02", *on)
    said("sample", "receive", "S-12", "--from", "NMI", "--date", "2026-03-04", *on)
    said("sample", "split", "S-12", "lamella 5", "--how", "lamella", *on)
    said("archive", lab.session("TEM", files=2), "--now", "--set", "sample.identifier=S-12", *on)
    archived_as(lab, "SEM", "ZNO-3")
    archived_as(lab, "FIB", "lamella 5")
    archived_as(lab, "another", "S-13")
    found = said_json("search", "sample:S-12", *on)
    assert (sorted(row["title"] for row in found["rows"]), found["names"]) == (["FIB", "TEM"], ["lamella 5"])
    said("sample", "link", "S-12", "ZNO-3", "--lab", "FZ", "--reason", "it came back in our box", *on)

    def everything(node: Node) -> list[Any]:
        asked = [titles(node, f"sample:{name}") for name in ("S-12", "zno-3", '"lamella 5"', "K-2026-007", "S-13")]
        return [*asked, *(node.samples.get(name).to_dict() for name in ("S-12", "K-2026-007")), list(node.samples)]

    before = everything(lab.node)
    mine = ["FIB", "SEM", "TEM"]
    assert before[:5] == [mine, mine, ["FIB"], ["FIB", "SEM", "TEM", "another"], ["another"]]
    assert titles(lab.node, "sample=S-12") == ["TEM"]
    (story,) = said_json("sample", "show", "ZNO-3", *on)["samples"]
    assert story == before[5]
    assert story["where"]["words"] == "at hu-berlin since 4 March 2026"
    assert [one["identifier"] for one in story["ancestors"] + story["parts"]] == ["K-2026-007", "lamella 5"]
    assert {(row["title"], row["path"]) for row in story["datasets"]} == {
        (title, f"scan {number}.bin") for title in mine for number in range(2)
    }
    assert story["findings"] == []
    lab.node.close()
    catalogues.forget(lab.node.path)
    assert said_json("reindex", *on)["packages"] == 4
    with lab.reopened() as node:
        assert everything(node) == before
        said("sample", "unlink", "S-12", "ZNO-3", "--lab", "FZ", "--reason", "another piece", *on)
        assert titles(node, "sample:S-12") == ["FIB", "TEM"]
        assert titles(node, "sample:ZNO-3") == ["SEM"]
        told = " ".join(said("custody", story["id"], *on).split())
        assert "are one sample, because: it came back in our box" in told
        assert "are not one sample after all, because: another piece" in told
        require_agreement(node)


def test_two_samples_of_a_node_are_found_to_be_one(lab: Lab) -> None:
    samples = lab.node.samples
    for name in ("S-12", "B-7", "X"):
        samples.add(name)
    samples.split("B-7", "B-7 lamella", how="lamella")
    samples.send("S-12", "NMI", from_="HU", date="2026-03-02")
    for folder, name in (("TEM", "S-12"), ("SEM", "B-7"), ("FIB", "B-7 lamella")):
        archived_as(lab, folder, name)
    assert [len(samples.get(name).datasets) for name in ("S-12", "B-7", "B-7 lamella")] == [2, 4, 2]
    samples.link("B-7", "S-12", reason="one grid")
    samples.receive("B-7", at="NMI", date="2026-03-04")
    for name in ("S-12", "B-7"):
        assert titles(lab.node, f"sample:{name}") == ["FIB", "SEM", "TEM"]
        story = samples.get(name)
        assert (len(story.datasets), str(story.where), len(story.events)) == (6, "at NMI since 4 March 2026", 2)
        assert story.findings == ()
        assert [one.identifier for one in story.same] == ["S-12" if name == "B-7" else "B-7"]
    owners = {row.title: row.sample for row in samples.get("S-12").datasets}
    assert owners == {title: samples.get(name).id for title, name in (("TEM", "S-12"), ("SEM", "B-7"),
                                                                      ("FIB", "B-7 lamella"))}  # fmt: skip
    with pytest.raises(UsageError, match="linked already"):
        samples.link("S-12", "B-7", reason="again")
    samples.unlink("S-12", "B-7", reason="two grids")
    assert titles(lab.node, "sample:S-12") == ["TEM"]
    with pytest.raises(NotFound, match="nobody has linked"):
        samples.unlink("S-12", "B-7", reason="again")
    with pytest.raises(UsageError, match="one sample already"):
        samples.link("S-12", "s 12", reason="?")
    kinds = [entry.statement.predicate["event"] for entry in lab.node.context.ledger.all_entries()
             if entry.statement.kind == "sample" and len(entry.statement.subjects) == 2]  # fmt: skip
    assert kinds == ["linked", "unlinked"]


def test_a_circle_is_told_and_ends(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("A")
    samples.split("A", "B")
    samples.split("B", "C")
    with pytest.raises(UsageError, match="made from itself"):
        samples.change("A", parents=["A"])
    samples.change("A", parents=["C"], how="mixed")
    archived_as(lab, "s", "B")
    for name in "ABC":
        story = samples.get(name)
        assert [finding.code for finding in story.findings] == ["made-from-itself"]
        assert (len(story.parts), len(story.ancestors), len(story.datasets)) == (2, 2, 2)
        assert titles(lab.node, f"sample:{name}") == ["s"]
        assert "<svg" in story._repr_html_()
    assert "made from itself" in said("sample", "show", "A", "--node", lab.node.path, code=1)


def test_a_name_of_two_samples(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    lab.node.samples.add("S-12", names={"NMI": "K-7"})
    lab.node.samples.add("S-15", names={"FZ": ["k 7", "other"]})
    archived_as(lab, "a", "S-12")
    archived_as(lab, "b", "S-15")
    assert titles(lab.node, "sample:K-7") == ["a", "b"]
    assert titles(lab.node, "sample:S-12") == ["a"]
    text = said("sample", "show", "K-7", *on, code=1)
    assert "2 samples are called 'K-7': S-12, S-15" in text
    assert "another sample has the name k 7 of FZ too" in said("sample", "show", "S-12", *on)
    document = said_json("sample", "show", "K-7", *on, code=1)
    assert [one["identifier"] for one in document["samples"]] == ["S-12", "S-15"]
    error = said_json("sample", "lose", "K-7", *on, code=2)["error"]
    assert "S-12" in error["message"]
    assert "S-15" in error["message"]
    assert error["next"]
    assert lab.node.samples.get("other").sample.identifier == "S-15"


# -- saying --------------------------------------------------------------------------------------------------------


def test_what_is_said_is_signed_by_who_says_it(lab: Lab, tmp_path: Path) -> None:
    lab.node.users.add("bob")
    on = ("--node", lab.node.path)
    made = said_json("sample", "add", "S-1", "--user", "bob", *on)["sample"]
    assert made["by"] == "bob@hu-berlin"
    (entry,) = lab.node.context.ledger.of_subject(Subject.named(made["id"]).sha256)
    assert len(entry.signers) == 1
    said("sample", "lose", "S-1", "--date", "2026-03-14", "--comment", "in the\nlab", *on)
    chain = tmp_path / "chain.json"
    said("custody", made["id"], "--export", chain, *on)
    report = said_json("custody", "verify", chain)
    assert report["subjects"] == [made["id"]]
    assert [step["signers"] for step in report["steps"]][:2] == [["bob@hu-berlin"], ["alice@hu-berlin"]]
    assert "stated that the sample was lost on 14 March 2026: in the lab" in report["steps"][1]["sentence"]


def test_identifiers_that_a_search_cannot_tell_apart_are_refused(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("S-12")
    for name in ("S-12", "s_12", " S 12 ", "", "---"):
        with pytest.raises(UsageError) as refused:
            samples.add(name)
        assert refused.value.next
    with pytest.raises(UsageError, match="named twice"):
        samples.split("S-12", "a", "b", "A")
    with pytest.raises(UsageError, match="already"):
        samples.split("S-12", "a", "S-12")
    with pytest.raises(UsageError, match="no part"):
        samples.split("S-12")
    assert [one.identifier for one in samples] == ["S-12"]
    samples.change("S-12", identifier="S.12")
    assert samples.get("s-12").sample.identifier == "S.12"


def test_what_cannot_be_said_is_refused_before_it_is_signed(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("S-12")
    before = lab.node.context.ledger.total
    for wrong in (
        {"orcid": "0000-0002-1825-0098"},
        {"orcid": "me"},
        {"ror": "https://ror.org/1"},
        {"elements": ["Zinc"]},
        {"names": {"": "x"}},
        {"parents": ["S-99"]},
        {"parents": ["S-12"], "how": "magic"},
        {"name": "two\nlines"},
        {"name": "x" * 501},
        {"name": "\udcff"},
        {"preparation": [{"stp": "cut"}]},
        {"preparation": [{"step": "cut", "date": "yesterday"}]},
        {"colour": "red"},
    ):
        given: Any = wrong
        with pytest.raises(DiademError) as refused:
            samples.add("new", **given)
        assert refused.value.exit_code in (2, 3), wrong
    for day in ("14.3.2026", "2026-02-30", ""):
        with pytest.raises(UsageError, match="not a date"):
            samples.send("S-12", "NMI", date=day)
    for place in ("", " ", "\0"):
        with pytest.raises(DiademError):
            samples.send("S-12", place)
    with pytest.raises(DiademError):
        samples.link("S-12", "x", lab="NMI", reason=" ")
    with pytest.raises(UsageError, match="nothing was said"):
        samples.change("S-12")
    assert lab.node.context.ledger.total == before
    error = said_json("sample", "show", "S-13", "--node", lab.node.path, code=3)["error"]
    assert "S-12" in error["next"]


def test_of_names_and_maker_only_what_is_said_changes(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("S-12", maker=" Ada ", lab="NMI", names={"NMI": "K", "FZ": "Z"}, identifiers={"IGSN": "x"}, name="ZnO")
    now = samples.change("S-12", orcid="0000-0002-1825-0097", names={"FZ": ["Z1", "Z2"]}, identifiers={"url": "u"})
    assert (str(now.maker), now.maker and now.maker.orcid) == ("Ada, NMI", "https://orcid.org/0000-0002-1825-0097")
    assert [str(one) for one in now.names] == ["K (NMI)", "Z1 (FZ)", "Z2 (FZ)"]
    assert now.identifiers == {"igsn": "x", "url": "u"}
    now = samples.change("S-12", name="", maker="", names={"FZ": []}, identifiers={"igsn": ""}, elements=["Zn"])
    assert (now.name, str(now.maker), now.identifiers) == ("", "NMI", {"url": "u"})
    assert [str(one) for one in now.names] == ["K (NMI)"]


def test_where_things_are_by_default(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("S-12", lab="NMI", made="2026-03-01")
    samples.add("S-13", lab="NMI", made="2026-03-01")
    sent = samples.send("S-12", "hu-berlin", date="2026-03-02").events[-1]
    assert (sent.from_, sent.to) == ("NMI", "hu-berlin")
    assert samples.receive("S-12").where.place == "hu-berlin"
    away = samples.send("S-12", "FZ")
    assert (away.where.from_, away.where.state) == ("hu-berlin", "under way")
    (piece,) = samples.split("S-13", "S-13-a", made="2026-03-02")
    assert (piece.events[0].what, piece.events[0].to) == ("made", "NMI")
    assert samples.send("S-13-a", "FZ").events[-1].from_ == "NMI"
    gone = samples.consume("S-12", comment="dissolved")
    assert (gone.where.state, gone.events[-1].comment) == ("consumed", "dissolved")
    assert samples.whereabouts()[gone.id] == gone.where
    told = said("sample", "send", "S-12", "--to", "NMI", "--node", lab.node.path)
    assert "LOOK AT" in told
    assert "although it was consumed" in told


# -- many at once, and after a crash -------------------------------------------------------------------------------


def test_two_who_define_one_identifier_at_once(lab: Lab) -> None:
    made: list[Sample] = []
    refused: list[DiademError] = []
    nodes = [lab.reopened() for _ in range(3)]
    begin = threading.Barrier(len(nodes))

    def add(number: int) -> None:
        begin.wait()
        try:
            made.append(nodes[number].samples.add("S-12"))
        except UsageError as error:
            refused.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(len(nodes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in nodes:
        node.close()
    assert (len(made), len(refused)) == (1, 2)


def test_a_catalogue_that_is_behind_or_learns_in_another_order_says_the_same(lab: Lab) -> None:
    samples, context = lab.node.samples, lab.node.context
    samples.add("S-12")
    samples.add("B-7")
    samples.link("S-12", "B-7", reason="x")
    samples.change("S-12", name="ZnO")
    samples.change("S-12", name="ZnO rods")
    expected = context.catalogue.samples()
    context.catalogue.forget_statements()
    assert lab.node.context.follower.behind() > 0
    context.follower.catch_up()
    assert context.catalogue.samples() == expected
    from diadem.node.follow.follow import apply

    entries = list(context.ledger.all_entries())
    cards = [entry for entry in entries if entry.statement.kind == "key"]  # nobody says anything before their card
    fresh = context.catalogue.draft()
    for entry in [*cards, *(one for one in reversed(entries) if one.statement.kind == "sample")]:
        apply(fresh, entry)
    assert fresh.samples() == expected
    fresh.discard()


def test_a_statement_of_a_later_version_stops_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this version would not write, and cannot understand."""
    sample = lab.node.samples.add("S-12")
    odd = Draft("sample", (Subject.named(sample.id),), {"event": "photographed", "by": "alice@hu-berlin"})
    monkeypatch.setattr("diadem.custody.log.validate_draft", lambda _: None)
    lab.node.context.say([odd], as_user=True)
    assert lab.node.samples.get("S-12").sample == sample
    lab.node.reindex()
    assert lab.node.samples.get("S-12").sample == sample
    assert "does not understand" in said("custody", sample.id, "--node", lab.node.path)


def test_a_store_that_is_read_from_another_pc(lab: Lab) -> None:
    lab.node.samples.add("S-12", names={"NMI": "K-7"})
    archived_as(lab, "s", "S-12")
    lab.node.close()
    with diadem.open_node(lab.root / "main") as node:
        assert node.search("sample:K-7").total == 1
        story = node.samples.get("K-7")
        assert isinstance(story, SampleStory)
        assert len(story.datasets) == 2
        with pytest.raises(Refused, match="on the machine"):
            node.samples.add("S-13")


# -- suggesting ----------------------------------------------------------------------------------------------------


def suggested(lab: Lab, source: Path, *options: str) -> list[dict[str, Any]]:
    pairs = metadata_from_pairs(options)
    return [one.to_dict() for one in lab.node.archive(source, now=True, metadata=pairs).suggested]


def test_a_known_sample_is_suggested_and_never_set(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("S-12", names={"NMI": "K-7"})
    samples.split("S-12", "S-12-a", "S 13")
    samples.add("14")
    session = lab.session("2026-03-14 ZnO_S-12-a HAADF", files=1, size=10)
    (plan,) = said_json("archive", session, "--dry-run", "--now", "--node", lab.node.path)["plan"]["samples"]
    assert (plan["identifier"], plan["command"]) == ("S-12-a", "--set sample.identifier=S-12-a")
    document = said_json("archive", session, "--now", "--node", lab.node.path)
    package = document["package"]["id"]
    (found,) = document["samples"]
    assert found["command"] == f"diadem amend {package[7:19]} --set sample.identifier=S-12-a"
    assert diadem.open(document["package"]["path"]).record.sample == {}
    assert titles(lab.node, "sample:S-12") == []
    text = said("archive", session, "--now", "--node", lab.node.path)
    pasted = with_node(found["command"], f" --node {lab.node.path}")
    assert f"sample           S-12-a?  'S-12-a' is in the name of the folder; if so: {pasted}" in text
    (other,) = suggested(lab, lab.session("of NMI, k_7", files=1))
    assert (other["identifier"], other["name"]) == ("S-12", "K-7")
    (quoted,) = suggested(lab, lab.session("S 13", files=1))
    assert quoted["command"].endswith("--set 'sample.identifier=S 13'")
    both = suggested(lab, lab.session("S-12 and S-13", files=1))
    assert sorted(one["identifier"] for one in both) == ["S 13", "S-12"]


def test_nothing_is_suggested_where_it_was_said_or_is_unclear(lab: Lab) -> None:
    assert suggested(lab, lab.session("S-12 before", files=1)) == []
    lab.node.samples.add("S-12", names={"NMI": "K-7"})
    assert suggested(lab, lab.session("S-12 said", files=1), "sample.identifier=K-7") == []
    assert suggested(lab, lab.session("S-120, S12, XS-12, 12", files=1)) == []
    (found,) = suggested(lab, lab.session("no name", files=1), "sample.name=S-12 annealed")
    assert (found["identifier"], found["where"]) == ("S-12", "the files")
    for number in range(6):
        lab.node.samples.add(f"same {number}", names={"NMI": "batch A"})
    assert suggested(lab, lab.session("batch A", files=1)) == []


def test_a_day_may_be_a_date_or_a_moment_and_names_may_have_blanks_around(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add(" S-12 ", made=datetime.datetime(2026, 3, 1, 9, 30))  # noqa: DTZ001  (a day is meant)
    story = samples.send("S-12", " NMI ", date=datetime.date(2026, 3, 2))
    assert [(event.date, event.to) for event in story.events] == [("2026-03-01", ""), ("2026-03-02", "NMI")]
    assert story.sample.identifier == "S-12"
    samples.link("S-12", " K-7", lab="NMI ", reason="mail")
    with pytest.raises(UsageError, match="linked already"):
        samples.link("S-12", "K-7", lab="NMI", reason="mail")
    assert samples.unlink("S-12", "K-7 ", lab="NMI", reason="no").links == ()


def test_a_sample_that_only_packages_name_is_told_with_what_makes_it_one(lab: Lab) -> None:
    for number in range(3):
        metadata = {"sample": {"name": "S-12"}}
        lab.node.archive(lab.session(f"s{number}", files=1, seed=number), now=True, metadata=metadata)
    with pytest.raises(NotFound, match="'S-12', and 3 packages name it") as caught:
        lab.node.samples.show("S-12")
    assert caught.value.next is not None
    assert "diadem sample add S-12" in caught.value.next
    said("sample", "add", "S-12", "--node", lab.node.path)
    assert lab.node.samples.show("S-12")
    with pytest.raises(NotFound, match="no sample is called 'S-99'"):
        lab.node.samples.show("S-99")
