"""What was stated to have happened by mistake is taken back: told, and no longer counted, also after a reindex."""

from __future__ import annotations

import json

import pytest

from diadem.errors import NotFound, UsageError
from diadem.model.samples import Retraction
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_an_event_is_struck_and_the_place_is_found_without_it(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    said("sample", "add", "S-12", "--lab", "NMI", "--made", "2026-03-01", *on)
    said("sample", "send", "S-12", "--to", "hu-berlin", "--date", "2026-03-02", *on)
    said("sample", "lose", "S-12", "--date", "2026-03-03", *on)
    told = said("sample", "retract", "S-12", "lost", "--reason", "it lay in the drawer", *on)
    assert "where            on its way from NMI to hu-berlin since 2 March 2026" in told
    text = said("sample", "show", "S-12", *on)
    assert "                 (2026-03-03  lost [alice@hu-berlin])\n" in text
    assert "                             retracted by alice@hu-berlin, because: it lay in the drawer\n" in text
    story = said_json("sample", "show", "S-12", *on)
    lost = story["samples"][0]["events"][-1]
    assert lost["retracted"]["reason"] == "it lay in the drawer"
    assert lost["retracted"]["statement"] != lost["statement"]
    custody = " ".join(said("custody", story["samples"][0]["id"], *on).split())
    assert f"retracted what the statement {lost['statement'][:12]}… says had happened, because: it lay" in custody
    lab.node.reindex()
    assert said_json("sample", "show", "S-12", *on) == story
    said("sample", "receive", "S-12", "--date", "2026-03-04", *on)
    assert lab.node.samples.get("S-12").findings == ()


def test_only_what_was_stated_by_oneself_and_is_one_thing(lab: Lab) -> None:
    lab.node.users.add("bob")
    samples = lab.node.samples
    samples.add("S-12")
    samples.add("B-7")
    samples.link("S-12", "B-7", reason="one grid")
    for day in ("2026-03-02", "2026-03-04"):
        samples.send("B-7", "NMI", date=day)
    before = lab.node.context.ledger.total
    with pytest.raises(UsageError, match="2 events are meant: sent from hu-berlin to NMI on 2 March 2026"):
        samples.retract("S-12", "sent", reason="x")
    with pytest.raises(UsageError, match="not an event"):
        samples.retract("S-12", "photographed", reason="x")
    for event, date in (("lost", None), ("sent", "2026-03-03"), ("ab" * 6, None)):
        with pytest.raises(NotFound, match="nobody has stated that"):
            samples.retract("S-12", event, date=date, reason="x")
    assert "only they can" in said("sample", "retract", "S-12", "sent", "--date", "2026-03-02", "--reason", "x",
                                        "--user", "bob", "--node", lab.node.path, code=4)  # fmt: skip
    assert lab.node.context.ledger.total == before
    samples.retract("S-12", "sent", date="2026-03-04", reason="twice")
    with pytest.raises(NotFound, match="was retracted already"):
        samples.retract("B-7", "sent", date="2026-03-04", reason="twice")
    first = samples.get("B-7").events[0].statement
    story = samples.retract("S-12", first[:12], reason="the other box")
    assert (story.where.state, story.findings) == ("unknown", ())
    assert [one.retracted.reason for one in story.events if one.retracted] == ["the other box", "twice"]


def test_a_catalogue_of_an_earlier_version_learns_the_statements_ids(lab: Lab) -> None:
    samples, catalogue = lab.node.samples, lab.node.context.catalogue
    samples.add("S-12")
    samples.lose("S-12", date="2026-03-02")
    from diadem.catalogue import tables

    with catalogue.writing() as connection:
        document = json.loads(connection.execute(tables.samples.select()).one().document)
        for event in document["events"]:
            del event["statement"], event["retracted"]
        connection.execute(tables.samples.update(), {"document": json.dumps(document)})
    assert samples.get("S-12").events[0].statement == ""
    (event,) = samples.retract("S-12", "lost", reason="found").events
    assert isinstance(event.retracted, Retraction)
