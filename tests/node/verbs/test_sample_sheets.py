"""Samples as a sheet: written, edited as people and spreadsheet programs do, and read back without losing anything."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.ports import Progress
from diadem.model.samples import new_id
from diadem.model.statements import Draft, Subject
from diadem.model.table_changes import TableChanges
from diadem.node.node import Node
from diadem.node.samples.statements import members_of, tidied
from diadem.testing.faults import overwrite
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue

KINDS = (".csv", ".xlsx")
Rows = list[dict[str, Any]]


def read(path: Path) -> Rows:
    """All rows, as another program sees them."""
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    head, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def write(path: Path, rows: Rows) -> None:
    """Write rows as another program does."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, heads)
            writer.writeheader()
            writer.writerows(rows)
        return
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for number, row in enumerate([dict(zip(heads, heads, strict=True)), *rows], start=1):
        for at, head in enumerate(heads, start=1):
            cell = sheet.cell(number, at)
            cell.value = row.get(head)
            if isinstance(cell.value, str):
                cell.data_type = "s"  # never a formula
    book.save(path)


def edit(path: Path, change: Callable[[Rows], Any]) -> None:
    """Change the rows of a sheet in place."""
    rows = read(path)
    change(rows)
    write(path, rows)


def exported(node: Node, folder: Path, kind: str = ".csv") -> Path:
    """All samples as a sheet."""
    path = folder / f"samples{kind}"
    node.samples.export(path, replace=True)
    return path


def is_empty(changes: TableChanges) -> bool:
    """Whether nothing would be written, and nothing is wrong."""
    return changes.ok and not changes.changes


@pytest.fixture
def filled(lab: Lab) -> Lab:
    """A node with samples that have something in every column."""
    samples = lab.node.samples
    samples.add(
        "W-3",
        name="ZnO on sapphire",
        maker="Ada",
        lab="NMI",
        orcid="0000-0002-1825-0097",
        elements=["Zn", "O"],
        names={"NMI": ["K-2026-007", "K@7"]},
        identifiers={"igsn": "10.60510/x=1"},
        preparation=["annealed", {"step": "scratched", "date": "2026-03-10", "comment": "=hard"}],
        composition="ZnO",
        comment="two\nlines, a \t tab, =1+1",
    )
    samples.split("W-3", "S-12", "S-13", how="lamella")
    samples.receive("S-12", at="FZ", date="2026-03-11")
    return lab


# -- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_edited_changes_nothing(filled: Lab, kind: str) -> None:
    path = exported(filled.node, filled.root, kind)
    rows = {row["identifier"]: row for row in read(path)}
    assert rows["W-3"]["called"] == "K-2026-007@NMI\nK@7@NMI"
    assert rows["W-3"]["preparation"] == "annealed\n2026-03-10 scratched"
    assert rows["S-12"]["made from"] == "W-3 (lamella)"
    assert rows["S-12"]["where"] == "at FZ since 11 March 2026"
    before = filled.node.context.ledger.total
    done = filled.node.samples.import_(path)
    assert is_empty(done)
    assert (done.unchanged, done.notes, filled.node.context.ledger.total) == (3, (), before)


@pytest.mark.parametrize("kind", KINDS)
def test_edits_are_written_as_statements_of_who_imports(filled: Lab, kind: str) -> None:
    filled.node.users.add("bob")
    path = exported(filled.node, filled.root, kind)

    def change(rows: Rows) -> None:
        s12, s13, w3 = rows
        s12["name"] = " ZnO lamella  "
        s13["made from"] = "W-3 (annealed)\nS-14"
        w3["preparation"] = "2026-03-10 scratched\npolished"
        w3["maker"], w3["orcid"], w3["comment"] = "", "", None
        rows.append({"identifier": "S-14", "name": "=new", "elements": "Zn; O", "lab": "FZ"})

    edit(path, change)
    from diadem import open_node

    with open_node(filled.node.path, user="bob") as node:
        shown = node.samples.import_(path, dry_run=True)
        assert [(one.row, one.what, one.about) for one in shown.changes] == [
            (2, "changed", "S-12"), (3, "changed", "S-13"), (4, "changed", "W-3"), (5, "new", "S-14"),
        ]  # fmt: skip
        assert shown.changes[0].cells[0].to_dict() == {"column": "name", "before": "", "after": "ZnO lamella"}
        done = node.samples.import_(path, shown=shown)
        assert done.written == 4
        assert is_empty(node.samples.import_(path))
        s14, w3 = node.samples.get("S-14").sample, node.samples.get("W-3").sample
        assert (s14.name, s14.elements, str(s14.maker), s14.by) == ("=new", ("Zn", "O"), "FZ", "bob@hu-berlin")
        assert [(one.sample, one.how) for one in node.samples.get("S-13").sample.parents] == [
            (w3.id, "annealed"), (s14.id, "other"),
        ]  # fmt: skip
        assert [one.comment for one in w3.preparation] == ["=hard", ""]
        assert (str(w3.maker), w3.comment) == ("NMI", "")
        story = [one.to_dict() for one in node.samples]
        node.reindex()
        assert [one.to_dict() for one in node.samples] == story
        assert read(exported(node, filled.root, kind))[2]["name"] == ("'=new" if kind == ".csv" else "=new")


def test_what_the_node_has_learnt_since_is_not_undone(filled: Lab) -> None:
    path = exported(filled.node, filled.root)
    filled.node.samples.change("W-3", name="ZnO on glass", comment="")
    filled.node.samples.change("S-12", name="lamella")

    def change(rows: Rows) -> None:
        rows[2]["name"] = "ZnO on silicon"
        rows[2]["composition"] = "zinc oxide"

    edit(path, change)
    done = filled.node.samples.import_(path)
    (conflict,) = done.conflicts
    assert (conflict.row, conflict.column, conflict.exported, conflict.now, conflict.wanted) == (
        4, "name", "ZnO on sapphire", "ZnO on glass", "ZnO on silicon",
    )  # fmt: skip
    assert (done.written, done.unchanged, done.older) == (1, 2, 1)
    w3 = filled.node.samples.get("W-3").sample
    assert (w3.name, w3.composition, w3.comment) == ("ZnO on glass", "zinc oxide", "")
    assert filled.node.samples.get("S-12").sample.name == "lamella"


def test_nothing_is_written_while_anything_cannot_be_understood(filled: Lab) -> None:
    path = exported(filled.node, filled.root)

    def change(rows: Rows) -> None:
        rows[0] |= {"elements": "Zinc", "called": "K-7", "identifiers": "10.1", "made from": "S-12\nX-9"}
        rows[1] |= {"id": rows[0]["id"]}
        rows[2] |= {"as of": "yesterday", "name": "fine"}
        rows += [{"identifier": "!!"}, {"identifier": "A", "orcid": "me"}, {"identifier": "a"}, {"id": "S-12"}]
        rows += [{"identifier": "w 3", "name": "another"}, {"identifier": "B", "name": "x" * 501}]

    edit(path, change)
    before = filled.node.context.ledger.total
    found = filled.node.samples.import_(path, dry_run=True)
    assert [(one.row, one.column) for one in found.faults] == [
        (2, "called"), (2, "identifiers"), (2, "made from"), (2, "elements"), (3, "id"), (4, "as of"),
        (5, "identifier"), (6, "orcid"), (7, "identifier"), (8, "id"), (9, "identifier"), (10, "name"),
    ]  # fmt: skip
    assert all(one.message for one in found.faults)
    with pytest.raises(DocumentError, match=r"(?s)nothing was written: row 2, called.* \(and 11 more\)"):
        filled.node.samples.import_(path)
    assert filled.node.context.ledger.total == before


def test_what_spreadsheet_programs_do(filled: Lab) -> None:
    filled.node.samples.add("12", name="2026-03-14", comment="1.5")
    path = exported(filled.node, filled.root, ".xlsx")

    def change(rows: Rows) -> None:
        for row in rows:
            row["identifier"] = float(row["identifier"]) if row["identifier"] == "12" else row["identifier"] + "  "
            row["colour"] = "red"
            del row["maker"], row["composition"]
        rows[0]["name"], rows[0]["comment"] = datetime.date(2026, 3, 14), 1.5
        rows.insert(0, {"colour": "blue"})
        rows[:] = [dict(reversed(row.items())) for row in rows[::-1]]

    edit(path, change)
    found = filled.node.samples.import_(path)
    assert is_empty(found)
    assert found.unchanged == 4
    assert found.notes == ("1 column that means nothing here: 'colour'",)


def test_an_identifier_that_became_something_else_is_not_guessed(filled: Lab) -> None:
    """Of ``MAR1`` a spreadsheet program makes the first of March, of ``1E5`` a hundred thousand."""
    path = filled.root / "new.xlsx"
    rows: Rows = [{"identifier": datetime.datetime(2026, 3, 1), "name": "rods"}, {"identifier": True}]  # noqa: DTZ001
    write(path, [*rows, {"identifier": 100_000}, {"identifier": 12}, {"identifier": "MAR1"}])
    book = openpyxl.load_workbook(path)
    book.worksheets[0]["A4"].number_format = "0.00E+00"
    book.save(path)
    found = filled.node.samples.import_(path, dry_run=True)
    assert [(fault.row, fault.column) for fault in found.faults] == [
        (2, "identifier"),
        (3, "identifier"),
        (4, "identifier"),
    ]
    assert all("not the text that was typed" in fault.message and "text" in fault.next for fault in found.faults)
    (filled.root / "new.csv").write_text("identifier,name\n1E+05,rods\n1E5,rods\n", "utf-8")
    found = filled.node.samples.import_(filled.root / "new.csv", dry_run=True)
    assert [(fault.row, fault.column) for fault in found.faults] == [(2, "identifier")]


def test_what_would_mean_something_else_silently_is_refused(filled: Lab) -> None:
    path = exported(filled.node, filled.root, ".xlsx")
    book = openpyxl.load_workbook(path)
    book.worksheets[0].merge_cells("B2:B3")
    book.save(path)
    with pytest.raises(DocumentError, match="cells are merged: B2:B3"):
        filled.node.samples.import_(path)
    book = openpyxl.load_workbook(exported(filled.node, filled.root, ".xlsx"))
    book.worksheets[0]["B2"].value, book.worksheets[0]["B2"].data_type = "#REF!", "e"
    book.save(path)
    with pytest.raises(DocumentError, match="formula of the cell B2 has failed"):
        filled.node.samples.import_(path)
    book.worksheets[0]["B2"].value = '=CONCATENATE("Zn", "O")'
    book.save(path)
    with pytest.raises(DocumentError, match="formula of the cell B2 has no value"):
        filled.node.samples.import_(path)
    name = path.read_bytes().rindex(b"PK\1\2") + 46  # of the last member, in the list of members
    overwrite(path, name - 37, b"\x08")  # it says that it is UTF-8
    overwrite(path, name, b"\xe5")
    with pytest.raises(DocumentError, match="cannot be read as a workbook") as damaged:
        filled.node.samples.import_(path)
    assert damaged.value.where == str(path)
    path.write_bytes(b"as a workbook")
    with pytest.raises(DocumentError, match="as a workbook") as caught:
        filled.node.samples.import_(path)
    assert caught.value.next
    csv_path = filled.root / "x.csv"
    for text, message in (
        (b"identifier,name\nS-20,rods, annealed\n", "row 2 has more cells"),
        (b'identifier,name\nS-20,"rods\nS-21,plate\n', "is not valid CSV"),
        (b"identifier,Name,name\n", "two columns are named 'name'"),
        (b"name\nx\n", "does not name the column 'identifier'"),
        ("identifier;name\nS-1;Br\u00fccke\n".encode("cp1252"), "not UTF-8"),
    ):
        csv_path.write_bytes(text)
        with pytest.raises(DocumentError, match=message) as refused:
            filled.node.samples.import_(csv_path)
        assert refused.value.next
    path.write_bytes(b"PK\3\4 no workbook")
    with pytest.raises(DocumentError, match="as a workbook"):
        filled.node.samples.import_(path)
    with pytest.raises(NotFound):
        filled.node.samples.import_(filled.root / "absent.csv")


def test_a_sheet_of_ones_own_and_what_was_agreed_to(lab: Lab) -> None:
    path = lab.root / "ours.csv"
    path.write_bytes("\ufeffName;Identifier;made from\nNanorods;P-1;P-2\nPlate;P-2;\n".encode())
    samples = lab.node.samples
    shown = samples.import_(path, dry_run=True)
    samples.add("X")
    with pytest.raises(Refused, match="has changed since"):
        samples.import_(path, shown=shown)
    done = samples.import_(path, shown=samples.import_(path, dry_run=True))
    assert done.written == 2
    assert done.notes == ("samples of the node that are not in the sheet: 1; they are left as they are",)
    assert samples.get("P-1").ancestors[0].identifier == "P-2"
    assert is_empty(samples.import_(path))
    path.write_text("identifier,name\np.1,Rods\nP-2,\n")
    found = samples.import_(path)
    (conflict,) = found.conflicts
    assert (conflict.row, conflict.now, conflict.wanted) == (2, "Nanorods", "Rods")
    assert (found.written, found.unchanged) == (0, 1)


def test_an_import_that_was_stopped_goes_on_where_it_ended(lab: Lab) -> None:
    path = lab.root / "many.csv"
    rows = "".join(f"P-{number},P-{number + 1}\n" for number in range(70))
    path.write_text(f"identifier,made from\n{rows}P-70,\n")

    def stop(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.node.samples.import_(path, listener=stop)
    samples = lab.node.samples.ls()
    assert len(samples) == 50
    assert {parent.sample for one in samples for parent in one.parents} <= {one.id for one in samples}
    left = lab.node.samples.import_(path, dry_run=True)
    assert (len(left.changes), left.unchanged, left.ok) == (21, 50, True)
    assert lab.node.samples.import_(path, shown=left).written == 21
    assert len(lab.node.samples.get("P-0").ancestors) == 70


def test_a_file_that_somebody_may_have_edited_is_not_replaced(filled: Lab) -> None:
    path = exported(filled.node, filled.root)
    path.write_text("mine")
    with pytest.raises(UsageError, match="this file exists already"):
        filled.node.samples.export(path)
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="not written as"):
        filled.node.samples.export(filled.root / "samples.ods")
    with pytest.raises(NotFound):
        filled.node.samples.export(filled.root / "absent" / "samples.csv")


# -- any text ------------------------------------------------------------------------------------------------------

_ODD = ["=1+1", "@x", "-3", "'=", "''", '"', "a;b,c\td", "2026-03-14", "12.0", "007", "1e5", "TRUE", "#REF!", "_x0041_",
        "\u202eabc", "zero\u200bwidth", "A (split)", "x@y@z", "\u00a0", "ﬁ", "𝛼", "e\u0301"]  # fmt: skip
_NAME = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12) | st.sampled_from(_ODD)
_NAME = _NAME.map(lambda text: " ".join(text.split("\t")).strip()).filter(bool)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [*_ODD, "a\r\nb\rc\n\nd", "\t\t"]
)
_SAID = st.fixed_dictionaries(
    {},
    optional={
        "name": _NAME,
        "composition": _NAME,
        "comment": _TEXT,
        "maker": _NAME,
        "lab": _NAME,
        "names": st.dictionaries(_NAME, _NAME, max_size=2),
        "identifiers": st.dictionaries(st.sampled_from(["igsn", "url"]), _NAME),
        "preparation": st.lists(_NAME | st.fixed_dictionaries({"step": _NAME, "comment": _NAME}), max_size=3),
        "elements": st.lists(st.sampled_from(["Zn", "O", "Si"]), unique=True),
    },
)
_SHARED = settings(max_examples=8, phases=[Phase.generate], derandomize=True, deadline=None,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip


def add_all(node: Node, said: list[dict[str, Any]]) -> None:
    """Define many samples in one batch."""
    drafts = []
    for number, one in enumerate(said, start=node.context.catalogue.count_samples()):
        one = {key: value for key, value in one.items() if value and (key != "comment" or value.strip())}  # noqa: PLW2901
        members = {key: value for key, value in members_of(one, node.samples._one).items() if value}  # type: ignore[arg-type]
        stated = tidied({"event": "defined", "identifier": f"S {number}", **members, "by": node.user})
        drafts.append(Draft("sample", (Subject.named(new_id()),), stated))
    node.context.say(drafts, as_user=True)


@_SHARED
@given(said=st.lists(_SAID, min_size=8, max_size=30), kind=st.sampled_from(KINDS))
def test_any_text_comes_back_as_no_change(lab: Lab, said: list[dict[str, Any]], kind: str) -> None:
    samples = lab.node.samples
    add_all(lab.node, said)
    found = samples.import_(exported(lab.node, lab.root, kind), dry_run=True)
    assert (found.faults, found.conflicts, found.changes, found.notes) == ((), (), (), ())
    assert found.unchanged == len(samples.ls())


_EDITED = {
    "called": ["", "K-7@NMI\nK-8@FZ"],
    "elements": ["", "Zn, O", "O"],
    "preparation": ["", "2026-03-10 cut\npolished", "=a"],
    "comment": ["", "'x", "two\nlines"],
    **{name: ["", "ZnO", "=a", "2026-03-14", "12"] for name in ("name", "composition", "maker", "lab")},
}
_EDITS = st.lists(
    st.sampled_from(sorted(_EDITED)).flatmap(
        lambda column: st.tuples(st.integers(0, 3), st.just(column), st.sampled_from(_EDITED[column]))
    ),
    max_size=6,
)


@_SHARED
@given(said=st.lists(_SAID, min_size=4, max_size=8), edits=_EDITS, kind=st.sampled_from(KINDS))
def test_an_edited_sheet_is_what_is_exported_next(
    lab: Lab, said: list[dict[str, Any]], edits: list[tuple[int, str, str]], kind: str
) -> None:
    samples = lab.node.samples
    add_all(lab.node, said)
    path = exported(lab.node, lab.root, kind)

    def change(rows: Rows) -> None:
        for row, column, text in edits:
            rows[row][column] = text

    edit(path, change)
    wanted = read(path)
    done = samples.import_(path)
    assert done.ok
    now = read(exported(lab.node, lab.root, kind))
    told = {change.row for change in done.changes}
    for number, (row, after) in enumerate(zip(wanted, now, strict=True), start=2):
        assert (row["as of"] != after["as of"]) == (number in told)
        for column in row.keys() - {"as of"}:
            assert _plain(row[column]) == _plain(after[column])


def _plain(cell: Any) -> str:
    text = str(cell or "")
    return (text[1:] if text.startswith("'=") else text).strip()
