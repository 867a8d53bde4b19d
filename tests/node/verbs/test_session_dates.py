"""When a session was: by its files, its folder's name, or what a person says; never by the day of archiving."""

from __future__ import annotations

import json
import zipfile

import pytest

import diadem
from diadem.catalogue import PackageRow
from diadem.errors import UsageError
from tests.archive.scan_trees import image
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def archived(lab: Lab, name: str, *days: str) -> PackageRow:
    """Archive a folder of images recorded on these days."""
    folder = lab.root / "sources" / name
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text(name)
    for number, day in enumerate(days):
        image(folder / f"image {number}.hspy", f"{day}T10:00:00")
    package = lab.node.archive(folder, now=True, as_one=True).package.id
    return next(row for row in lab.node.search("").rows if row.id == package)


@pytest.mark.parametrize(
    ("name", "days", "date", "until", "path"),
    [
        ("t1", ["2016-08-08", "2016-08-08", "2019-05-02"], "2016-08-08", "2019-05-02", "2016/20160808-t1-"),
        ("2016-08-08 S-12", ["2016-08-08", "2019-05-02"], "2016-08-08", None, "2016/20160808-s-12-"),
        ("2023-03-14 Marie GaN", ["2016-08-08", "2019-05-02"], "2023-03-14", None, "2023/20230314-marie-gan-"),
        ("2023-03-14 Marie GaN", ["2016-08-08"], "2016-08-08", None, "2016/20160808-2023-03-14-marie-gan-"),
        ("2023-03-14 GaN", [], "2023-03-14", None, "2023/20230314-gan-"),
        ("two days", ["2024-02-28", "2024-02-29"], "2024-02-28", "2024-02-29", "2024/20240228-two-days-"),
        ("a lost clock", ["1970-01-01", "2024-02-29"], "2024-02-29", None, "2024/20240229-a-lost-clock-"),
    ],
)
def test_what_a_name_or_the_files_tell_is_never_dropped(
    lab: Lab, name: str, days: list[str], date: str, until: str | None, path: str
) -> None:
    row = archived(lab, name, *days)
    assert (str(row.date), row.until and str(row.until)) == (date, until)
    assert row.path.startswith(path)
    assert row.title == name
    assert [one.id for one in lab.node.search(f"date:{date}").rows] == [row.id]


def test_the_day_of_archiving_is_told_apart(lab: Lab) -> None:
    dated, bare = archived(lab, "2023-03-14 GaN"), archived(lab, "t2 for 2023-04-01")
    assert "-t2-for-2023-04-01-" in bare.path, "a date that a name does not begin with may be another's, and stays"
    assert bare.date is None
    assert bare.ingested_at is not None
    year = bare.ingested_at.year
    assert bare.path.startswith(f"{year}/{year}"), "where it lies goes by the day of archiving"
    assert [row.id for row in lab.node.search("").rows] == [dated.id, bare.id]
    assert not lab.node.search(f"date:{year}").rows
    shown = said("search", "t2", "--node", lab.node.path)
    assert "(archived)" in shown
    (years,) = lab.node.facets("", fields=["year"]).facets
    assert [(one.text, one.packages) for one in years.values] == [("2023", 1)]


def test_a_date_can_be_amended_and_is_what_is_found(lab: Lab) -> None:
    row, other = archived(lab, "t3"), archived(lab, "2020-01-01 other")
    node = ("--node", lab.node.path)
    assert "session.date: 2023-03-14" in said("amend", row.id[7:19], "--set", "session.date=2023-03-14", *node)
    lab.node.amend(row.id, {"session.end_date": "2023-04-02", "sample.name": "S-3"})
    assert [one.id for one in lab.node.search("date:2023").rows] == [row.id]
    (found,) = lab.node.search("S-3 date:2023-03").rows
    assert (str(found.date), str(found.until)) == ("2023-03-14", "2023-04-02")
    assert "recorded until 2023-04-02" in said("search", "S-3", *node)
    assert lab.node.get(row.id).record.session["date"] == "2023-03-14"
    assert [one.id for one in lab.node.search("").rows] == [row.id, other.id], "the newest first"
    assert said_json("search", "year:2023", *node)["rows"][0]["id"] == row.id
    for asked in ("session.date:2023-03", "session.end_date:2023-04", "session.end_date>=2023-04-02"):
        assert [one.id for one in lab.node.search(asked).rows] == [row.id], asked
    lab.node.reindex()
    assert [one.id for one in lab.node.search("date:2023").rows] == [row.id]
    lab.node.amend(row.id, {"session.date": None, "session.end_date": None})
    assert not lab.node.search("date:2023").rows
    assert lab.node.search("S-3").rows[0].date is None
    for wrong in ("14.03.2023", "2023", ""):
        with pytest.raises(UsageError, match=r"session\.date cannot be"):
            lab.node.amend(row.id, {"session.date": wrong})


def test_a_session_is_found_on_every_day_of_its_span(lab: Lab) -> None:
    row, other = archived(lab, "2019-05-02 long"), archived(lab, "2020-01-01 other")
    lab.node.amend(row.id, {"session.end_date": "2021-02-03"})
    (years,) = lab.node.facets("", fields=["year"]).facets
    assert {one.text: one.packages for one in years.values} == {"2019": 1, "2020": 2, "2021": 1}
    for one in years.values:
        assert lab.node.search(one.term).total == one.packages, one.term
    for asked, ids in (
        ("year:2018", set()),
        ("year:2021", {row.id}),
        ("year:2020..2023", {row.id, other.id}),
        ("year>=2021", {row.id}),
        ("year<2020", {row.id}),
        ("year:2022", set()),
        ("date:2020", {row.id, other.id}),
        ("date:2020-08-08", {row.id}),
        ("date:2019-05-01", set()),
        ("date=2019-05-02", {row.id}),
        ("date:2021-02-03..2021-06", {row.id}),
        ("date:2021-02-04", set()),
        ("date>=2020-02", {row.id}),
        ("date<2020-01-01", {row.id}),
        ("date!=2020-08-08", {other.id}),
        ("date:2020-08-08 other", set()),
    ):
        assert {one.id for one in lab.node.search(asked).rows} == ids, asked


def test_what_leaves_says_the_day_that_search_and_show_say(lab: Lab) -> None:
    """A dataset of another session lies in the folder; another is of a clock that was wrong."""
    node, out = ("--node", lab.node.path), lab.root / "out"
    row = archived(lab, "2024-03-14 Marie", "1970-01-01", "2016-02-22", "2019-05-02")
    assert "2024-03-14" in said("search", "Marie", *node)
    assert "2024-03-14" in said("show", row.id[7:19], *node)
    bare = diadem.open(lab.node.get(row.id).url)
    out.mkdir()
    lab.node.export(row.id, out / "node.eln", form="eln")
    bare.export("eln", out / "bare.eln")
    for name in ("node", "bare"):
        with zipfile.ZipFile(out / f"{name}.eln") as crate:
            graph = json.loads(crate.read(f"{name}/ro-crate-metadata.json"))["@graph"]
        (experiment,) = (one for one in graph if one.get("genre") == "experiment")
        assert (experiment["temporal"], experiment["temporalCoverage"]) == ("2024-03-14", "2024-03-14"), name
    lab.node.site(out / "site", row.id)
    assert "2024-03-14" in (out / "site" / "list.html").read_text("utf-8")
    assert "2016-02-22" not in (out / "site" / "list.html").read_text("utf-8")
    lab.node.export(
        row.id, out / "datacite.json", form="datacite", options={"publisher": "HU", "creators": ["Marie Curie"]}
    )
    assert {"date": "2024-03-14", "dateType": "Collected"} in json.loads((out / "datacite.json").read_text())["dates"]
