"""The plan and the tables: what is written is read back, typed, and never a formula."""

from __future__ import annotations

import csv
import datetime
import io
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.scan import PlannedSession
from diadem.scan.plan import part_from_cell, read_plan
from diadem.scan.tables import FORMULA_STARTS, as_meant, from_cell, harmless, read_table, to_cell
from tests.archive.scan_trees import Scanner, image, posix

HOSTILE = '=HYPERLINK("http://evil.example","x")'
ENDINGS = [".csv", ".xlsx"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for day in (1, 2, 20):
        for number in range(3):
            image(folder / "dump" / f"{day:02d}_{number}.hspy", f"2026-03-{day:02d}T1{number}:00:00")
    image(folder / "2026-03-14 100% ZnO" / "EDS" / "a.hspy", sample=HOSTILE)
    (folder / "todo.txt").write_text("nothing")
    return folder


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_plan_is_read_back_as_it_was(scan: Scanner, tree: Path, tmp_path: Path, ending: str) -> None:
    found = scan(tree)
    assert diadem.read_plan(found.save_plan(tmp_path / f"plan{ending}")) == list(found.plan())


def test_the_sheet_of_a_whole_scan_is_a_plan(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    found = scan(tree)
    assert diadem.read_plan(found.save(tmp_path / "scan.xlsx")) == list(found.plan())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_plan_too_long_for_a_cell(scan: Scanner, tree: Path, tmp_path: Path, ending: str) -> None:
    session = scan(tree).plan()[0]
    long = replace(session, parts=tuple(f"a rather long name of a frame {number:06d}.mrc" for number in range(2000)))
    path = scan(tree).save_plan(tmp_path / f"plan{ending}", [long])
    assert diadem.read_plan(path) == [long]


@posix
@pytest.mark.parametrize("ending", ENDINGS)
def test_names_that_no_cell_can_hold(scan: Scanner, tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "data"
    for name in (
        b"caf\xe9",
        b"new\nline",
        b"50%41",
        b"=1+2",
        b"'quoted",
        b"\x1b[31m",
        b" blank ",
        "\u202eturned".encode(),
        b"%2E",
    ):
        image(folder / os.fsdecode(name) / "a.hspy", sample="")
    found = scan(folder)
    read = diadem.read_plan(found.save_plan(tmp_path / f"plan{ending}"))
    assert [one.folder for one in read] == [one.folder for one in found.plan()]
    assert all(Path(one.folder).is_dir() for one in read)


@given(st.text(st.characters(exclude_characters="\0"), max_size=40), st.binary(max_size=20))
def test_any_path_survives_a_cell(text: str, data: bytes) -> None:
    for path in (text.encode("utf-8", "ignore").decode(), os.fsdecode(data.replace(b"\0", b""))):
        cell = to_cell(path)
        assert from_cell(cell) == path
        assert not any(ord(character) < 32 for character in cell)


def edited(path: Path, change: dict[str, Any], row: int = 2) -> Path:
    """The plan as a person would have it after editing a row in Excel."""
    book = openpyxl.load_workbook(path)
    sheet = book["sessions"]
    heads = {str(cell.value): cell.column for cell in sheet[1]}
    for header, value in change.items():
        sheet.cell(row, heads[header]).value = value
    book.save(path)
    return path


def test_what_people_do_to_a_plan(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    path = scan(tree).save_plan(tmp_path / "plan.xlsx")
    change = {
        "archive": "JA",
        "title": "Zinkoxid",
        "date": datetime.datetime.fromisoformat("2026-03-14"),
        "sample": "S-12",
    }
    first = diadem.read_plan(edited(path, change))[0]
    assert (first.archive, first.title, first.date, first.sample) == (True, "Zinkoxid", "2026-03-14", "S-12")
    assert first.metadata == {"session": {"title": "Zinkoxid", "date": "2026-03-14"}, "sample": {"name": "S-12"}}
    assert diadem.read_plan(edited(path, {"date": "2026-03-15"}))[0].date == "2026-03-15"
    assert diadem.read_plan(edited(path, {"archive": False, "date": None}))[0].date == ""


def test_a_plan_saved_by_a_german_excel(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    found = scan(tree)
    rows = list(csv.reader(io.StringIO(found.save_plan(tmp_path / "plan.csv").read_text(encoding="utf-8-sig"))))
    with (tmp_path / "german.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    assert diadem.read_plan(tmp_path / "german.csv") == list(found.plan())


def test_a_plan_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "plan.csv"
    path.write_text(f"folder,archive\n{tmp_path},yes\n\n{tmp_path.parent},no\n")
    assert diadem.read_plan(path) == [
        PlannedSession("", True, tmp_path.name, "", str(tmp_path)),
        PlannedSession("", False, tmp_path.parent.name, "", str(tmp_path.parent)),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"archive": "perhaps"}, "'archive' says 'perhaps'"),
        ({"archive": None}, "'archive' is empty"),
        ({"date": "yesterday"}, "'date' says 'yesterday'"),
        ({"date": "14.03.2026"}, "'date' says '14.03.2026'"),
        ({"folder": "somewhere"}, "'folder' says 'somewhere'"),
        ({"files": "many"}, "'files' says 'many'"),
    ],
)
def test_a_mistake_is_named_with_its_row(
    scan: Scanner, tree: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = scan(tree).save_plan(tmp_path / "plan.xlsx")
    with pytest.raises(DocumentError, match=said) as raised:
        diadem.read_plan(edited(path, change, row=3))
    assert "row 3" in str(raised.value.where)
    assert raised.value.next


@pytest.mark.parametrize(
    ("parts", "other"), [("", ""), ("", "dump"), ("dump/", "dump"), ("dump/*", "dump/a.tif"), ("x.tif\ny.tif", "y.tif")]
)
def test_no_file_in_two_rows(tmp_path: Path, parts: str, other: str) -> None:
    path = tmp_path / "plan.csv"
    second = ("/data", "") if other == "" else ("/data/dump", "") if other == "dump" else ("/data", other)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("archive", "folder", "parts"), ("yes", "/data", parts), ("yes", *second)])
    with pytest.raises(DocumentError, match="two rows"):
        diadem.read_plan(path)
    path.write_text(path.read_text().replace("yes", "no", 1))
    assert len(diadem.read_plan(path)) == 2


def test_a_plan_without_its_parts_never_takes_what_another_row_leaves(
    scan: Scanner, tree: Path, tmp_path: Path
) -> None:
    path = tmp_path / "plan.csv"
    path.write_text(f"archive,title,folder\nyes,a,{tmp_path}\nno,b,{tmp_path}\n")
    with pytest.raises(DocumentError, match="without the column 'parts'") as raised:
        diadem.read_plan(path)
    assert "row 2; row 3" in str(raised.value.where)
    path.write_text(f"archive,title,folder\nyes,a,{tmp_path}\nno,b,{tmp_path / 'x'}\n")
    with pytest.raises(DocumentError, match="without the column 'parts'"):
        diadem.read_plan(path)


def test_what_a_spreadsheet_has_lost_is_no_plan(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    plan = scan(tree).save_plan(tmp_path / "plan.xlsx")

    def saved(change: Callable[[Any], None]) -> Path:
        book = openpyxl.load_workbook(plan)
        change(book["sessions"])
        book.save(tmp_path / "changed.xlsx")
        return tmp_path / "changed.xlsx"

    heads = [cell.value for cell in openpyxl.load_workbook(plan)["sessions"][1]]
    parts = heads.index("parts") + 1
    for change, said in (
        (lambda sheet: sheet.merge_cells(start_row=2, end_row=3, start_column=parts, end_column=parts), "merged"),
        (lambda sheet: sheet.cell(2, parts, '=CONCATENATE("a","/")'), "has no value"),
        (lambda sheet: sheet.cell(1, parts + 1, "parts"), "two columns are named 'parts'"),
    ):
        with pytest.raises(DocumentError, match=said) as raised:
            diadem.read_plan(saved(change))
        assert raised.value.next
    csv.field_size_limit(131_072)
    diadem.read_plan(scan(tree).save_plan(tmp_path / "plan.csv"))
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    "text",
    [
        "x;=cmd|'/C calc'!A0",
        "x\n=1+1",
        "\uff1d1+1",
        "'=1",
        "''=1",
        "a;'=1;\"=2",
        "x;\t@1",
        "no; formula",
        "-5",
        'x;"=1"',
        "\n=1",
    ],
)
def test_texts_that_no_program_takes_for_a_formula_come_back(text: str) -> None:
    cell = harmless(text)
    for line in re.split(r"[;\t\r\n]", cell):
        assert not line.lstrip('"').startswith(FORMULA_STARTS)
    assert as_meant(cell) == text


def test_files_that_are_no_plan(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        diadem.read_plan(tmp_path / "absent.csv")
    for name, content in (
        ("a.csv", b"what,is,this\n"),
        ("b.csv", b"\xff\xfe\0"),
        ("c.xlsx", b"PK no zip"),
        ("d.csv", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DocumentError):
            diadem.read_plan(tmp_path / name)


def test_a_plan_has_two_endings(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scan(tree).save_plan(tmp_path / "plan.txt")
    assert sorted(os.listdir(tmp_path)) == ["data"]


def test_sheets_are_typed_and_their_headers_have_units(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    (tree / "2026-03-14 100% ZnO" / "EDS" / "twin.hspy").write_bytes(
        (tree / "2026-03-14 100% ZnO" / "EDS" / "a.hspy").read_bytes()
    )
    book = openpyxl.load_workbook(scan(tree).save(tmp_path / "scan.xlsx"))
    assert book.sheetnames == ["datasets", "sessions", "issues", "duplicates", "totals"]
    for sheet in book:
        assert sheet.freeze_panes == "A2"
    sheet = book["datasets"]
    heads = {str(cell.value): cell.column_letter for cell in sheet[1]}
    assert {"voltage (kV)", "pixel size (nm)", "size (bytes)", "energy step (eV)", "magnification (×)"} <= set(heads)
    rows = {sheet[f"{heads['file']}{row}"].value: row for row in range(2, sheet.max_row + 1)}
    cells = {name: sheet[f"{column}{rows['a.hspy']}"] for name, column in heads.items()}
    assert cells["acquired"].value == datetime.datetime.fromisoformat("2026-03-14T10:00:00")
    assert cells["acquired"].is_date
    assert (cells["voltage (kV)"].value, cells["voltage (kV)"].data_type) == (200, "n")
    assert cells["pixel size (nm)"].value == pytest.approx(0.02)
    assert isinstance(cells["size (bytes)"].value, int)
    assert (cells["sample"].value, cells["sample"].data_type) == (HOSTILE, "s")
    assert cells["magnification (×)"].value is None
    plan = book["sessions"]
    kinds = {str(head.value): cell for head, cell in zip(plan[1], plan[3], strict=True)}
    assert kinds["date"].value == datetime.datetime.fromisoformat("2026-03-14")
    assert kinds["date"].number_format == "yyyy-mm-dd"
    assert not any(cell.data_type == "f" for sheet in book for row in sheet for cell in row)
    assert not any(cell.hyperlink for sheet in book for row in sheet for cell in row)
    assert 8 <= sheet.column_dimensions[heads["file"]].width <= 61


def test_single_copies_have_a_sheet_where_there_are_several_roots(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    image(tmp_path / "other" / "b.hspy")
    book = openpyxl.load_workbook(scan(tree, tmp_path / "other").save(tmp_path / "scan.xlsx"))
    assert "single copies" in book.sheetnames
    assert tuple(cell.value for cell in book["single copies"][1]) == ("only in", "path")


def test_no_cell_of_a_csv_is_a_formula(scan: Scanner, tree: Path, tmp_path: Path) -> None:
    text = scan(tree).save(tmp_path / "scan.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert not any(cell.startswith(FORMULA_STARTS) for row in rows for cell in row.values())
    row = next(row for row in rows if row["file"] == "a.hspy")
    assert row["sample"] == "'" + HOSTILE
    assert (row["acquired"], row["voltage (kV)"], row["shape"]) == ("2026-03-14 10:00:00", "200.0", "8 × 8")


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """A workbook with its parts changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, change(name, content))


def test_a_cell_far_away_is_no_table_of_all_that_lies_between(tmp_path: Path, tree: Path) -> None:
    path = tmp_path / "table.xlsx"
    diadem.scan(tree).save_plan(path)
    far = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
    rewritten(path, lambda name, data: data.replace(b"</sheetData>", far) if "sheet1" in name else data)
    with pytest.raises(DocumentError, match="too large to be read"):
        read_table(path, ["folder"], sheet="", needed=["folder"], make="diadem scan")


def test_a_workbook_that_expands_beyond_measure_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"a")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2") + 24
    data[at : at + 4] = (2 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DocumentError, match="too large to be read"):
        read_plan(path)
    with pytest.raises(DocumentError, match="too large to be read"):
        read_table(path, ["folder"], sheet="", needed=["folder"], make="diadem scan")


def test_paths_of_windows_in_a_plan() -> None:
    """They are written as they are, and parts that a person adds may have either slash there."""
    for path in ("D:\\data\\2026-03-14 ZnO", "\\\\nas\\share\\50% overlap", "sub/x.dm4"):
        assert from_cell(to_cell(path)) == path
    assert to_cell("D:\\data") == "D:\\data"
    assert part_from_cell("sub\\50%25 x.dm4", windows=True) == "sub/50% x.dm4"
    assert part_from_cell("sub\\x.dm4", windows=False) == "sub\\x.dm4"
