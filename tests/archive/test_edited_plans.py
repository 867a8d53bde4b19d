"""A plan that people and spreadsheet programs have changed: what cannot be understood is refused, never guessed."""

from __future__ import annotations

import csv
import datetime
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import diadem
from diadem.errors import DocumentError
from diadem.model.scan import PlannedSession
from tests.archive.scan_trees import Scanner, image, posix

HEAD = ("archive", "title", "date", "sample", "operator", "files", "size (bytes)", "folder", "parts", "id")
ENDINGS = [".csv", ".xlsx"]
#: As many characters as a cell of a spreadsheet program can hold.
FULL = 32_767


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.tif", "b.tif", "sub/c.tif"):
        (folder / name).write_bytes(name.encode())
    return folder


def row(folder: Path, **cells: Any) -> dict[str, Any]:
    """A row of a plan."""
    return dict.fromkeys(HEAD, "") | {"archive": "yes", "title": "ZnO", "folder": str(folder)} | cells


def saved(path: Path, *rows: dict[str, Any], head: Sequence[str] = HEAD, delimiter: str = ",") -> Path:
    """A plan as another program saves it; of a workbook a cell is a value, or a value with its format."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([head, *([one[key] for key in head] for one in rows)])
        return path
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(head))
    for number, one in enumerate(rows, start=2):
        for at, key in enumerate(head, start=1):
            cell = sheet.cell(number, at)
            cell.value, shown = one[key] if isinstance(one[key], tuple) else (one[key], "")
            cell.number_format = shown or cell.number_format
    book.save(path)
    return path


def the_session(path: Path) -> PlannedSession:
    (session,) = diadem.read_plan(path)
    return session


@pytest.mark.parametrize(
    ("word", "means"),
    [
        *(("TRUE", True), ("WAHR", True), ("FALSCH", False), ("VRAI", True), ("Faux", False), (" yes ", True)),
        *(("\u00a0no", False), ("1", True), ("1.0", None), ("wahr?", None), ("yes, both", None), ("ja nein", None)),
    ],
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_yes_and_no_in_the_words_of_spreadsheet_programs(
    folder: Path, tmp_path: Path, ending: str, word: str, means: bool | None
) -> None:
    path = saved(tmp_path / f"plan{ending}", row(folder, archive=word))
    if means is not None:
        assert the_session(path).archive is means
        return
    with pytest.raises(DocumentError, match="'archive' says") as raised:
        diadem.read_plan(path)
    assert "row 2" in str(raised.value.where)


@pytest.mark.parametrize(("cell", "means"), [(True, True), (False, False), (1, True), (0, False), (1.0, True)])
def test_yes_and_no_as_values_of_a_workbook(folder: Path, tmp_path: Path, cell: Any, means: bool) -> None:
    assert the_session(saved(tmp_path / "plan.xlsx", row(folder, archive=cell))).archive is means


@pytest.mark.parametrize("cell", [46095, 46095.5, datetime.time(10, 30), True, "14/03/2026", "46095"])
def test_a_date_that_became_a_number_is_no_date(folder: Path, tmp_path: Path, cell: Any) -> None:
    with pytest.raises(DocumentError, match="'date' says"):
        diadem.read_plan(saved(tmp_path / "plan.xlsx", row(folder, date=cell)))


@pytest.mark.parametrize("column", ["sample", "title", "operator"])
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (datetime.datetime(2026, 3, 1), "2026-03-01"),  # noqa: DTZ001 - typed as MAR1
        (datetime.time(10, 30), "10:30"),
        ((100_000, "0.00E+00"), "1e\\+05"),  # typed as 1E5
        (12_345_678_901_234_567_890, "digits"),
        (True, "True"),
    ],
)
def test_a_text_that_became_something_else_is_not_guessed(
    folder: Path, tmp_path: Path, column: str, cell: Any, said: str
) -> None:
    with pytest.raises(DocumentError, match=f"'{column}'.*{said}") as raised:
        diadem.read_plan(saved(tmp_path / "plan.xlsx", row(folder, **{column: cell})))
    assert "row 2" in str(raised.value.where)
    assert "text" in str(raised.value.next)


@pytest.mark.parametrize("cell", ["1E+05", "1,00E+05"])
def test_a_number_with_an_exponent_in_a_csv_is_no_name(folder: Path, tmp_path: Path, cell: str) -> None:
    with pytest.raises(DocumentError, match="'sample'"):
        diadem.read_plan(saved(tmp_path / "plan.csv", row(folder, sample=cell)))


def test_numbers_and_blanks_in_texts(folder: Path, tmp_path: Path) -> None:
    session = the_session(saved(tmp_path / "plan.xlsx", row(folder, sample=12, title=12.5, operator=" Marie Curie ")))
    assert (session.sample, session.title, session.operator) == ("12", "12.5", "Marie Curie")
    assert the_session(saved(tmp_path / "a.xlsx", row(folder, sample=12.0))).sample == "12"
    assert the_session(saved(tmp_path / "a.csv", row(folder, sample="S-12 ", title=" 1E5"))).metadata == {
        "session": {"title": "1E5"},
        "sample": {"name": "S-12"},
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_of_blanks_are_empty(folder: Path, tmp_path: Path, ending: str) -> None:
    path = saved(tmp_path / f"plan{ending}", row(folder), dict.fromkeys(HEAD, "  "), dict.fromkeys(HEAD, ""))
    assert the_session(path).folder == str(folder)


@pytest.mark.parametrize(
    ("cell", "means"),
    [("1234", 1234), ("1,234", 1234), ("1.234.567", 1_234_567), ("1\u202f234", 1234), ("1'234", 1234), ("", -1)],
)
def test_how_numbers_are_grouped(folder: Path, tmp_path: Path, cell: str, means: int) -> None:
    assert the_session(saved(tmp_path / "plan.csv", row(folder, files=cell))).files == means


@pytest.mark.parametrize("cell", ["1,5", "12.75", "1,23,4", "1.2e3", "-5", "1e999"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_decimal_comma_makes_no_larger_number(folder: Path, tmp_path: Path, cell: str, delimiter: str) -> None:
    path = saved(tmp_path / "plan.csv", row(folder, **{"size (bytes)": cell}), delimiter=delimiter)
    with pytest.raises(DocumentError, match="'bytes' says"):
        diadem.read_plan(path)


@pytest.mark.parametrize("cell", [1.234, -5, True, 1e300])
def test_a_number_of_a_workbook_is_whole(folder: Path, tmp_path: Path, cell: Any) -> None:
    path = saved(tmp_path / "plan.xlsx", row(folder))
    book = openpyxl.load_workbook(path)
    cells = book.worksheets[0]
    cells.cell(2, HEAD.index("files") + 1).value = cell
    cells.cell(2, HEAD.index("files") + 1).data_type = "b" if cell is True else "n"
    book.save(path)
    with pytest.raises(DocumentError, match=r"'files' says|cannot be read as a workbook"):
        diadem.read_plan(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_list_of_parts_that_fills_its_cell_may_have_lost_its_end(folder: Path, tmp_path: Path, ending: str) -> None:
    """A spreadsheet program cuts what is longer: ``sub/c.tif`` becomes ``sub/``, which is the whole folder."""
    listed = "\n".join([*(f"{number:010d}.tif" for number in range(2183)), "a" * (FULL - 2183 * 15 - 5), "sub/"])
    assert len(listed) == FULL
    path = saved(tmp_path / f"plan{ending}", row(folder, parts=listed))
    with pytest.raises(DocumentError, match=r"'parts'.*32,767") as raised:
        diadem.read_plan(path)
    assert "row 2" in str(raised.value.where)
    assert the_session(saved(tmp_path / f"short{ending}", row(folder, parts=listed[:-5]))).parts[-1].startswith("aa")


@pytest.mark.parametrize("length", [FULL - 1, FULL, FULL + 1])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_list_as_long_as_a_cell_comes_back(
    scan: Scanner, tmp_path: Path, folder: Path, length: int, ending: str
) -> None:
    image(folder / "a.hspy")
    session = replace(scan(folder).plan()[0], parts=("a" * (length - 6), "b.tif"))
    if ending == ".csv" and length == FULL:
        return  # cannot be told from one that was cut
    assert diadem.read_plan(scan(folder).save_plan(tmp_path / f"plan{ending}", [session])) == [session]


@posix
def test_two_spellings_of_one_folder_are_one(folder: Path, tmp_path: Path) -> None:
    """As on Windows, on macOS and on a share, where ``Data`` and ``data`` are one folder."""
    (tmp_path / "DATA").symlink_to(folder)
    for other in (tmp_path / "DATA", tmp_path / "x" / ".." / "data", Path(f"{folder}/.")):
        for second in (row(other), row(other, parts="sub/"), row(other, parts="a.tif")):
            with pytest.raises(DocumentError, match="two rows"):
                diadem.read_plan(saved(tmp_path / "plan.csv", row(folder), second))
    (folder / "A.TIF").symlink_to("a.tif")
    with pytest.raises(DocumentError, match="two rows"):
        diadem.read_plan(saved(tmp_path / "plan.csv", row(folder, parts="a.tif"), row(folder, parts="A.TIF")))
    (folder / "SUB").symlink_to("sub")
    with pytest.raises(DocumentError, match="two rows"):
        diadem.read_plan(saved(tmp_path / "plan.csv", row(folder, parts="sub/"), row(folder, parts="SUB/c.tif")))
    (folder / "B.tif").write_text("another file where case counts")
    assert len(diadem.read_plan(saved(tmp_path / "a.csv", row(folder, parts="b.tif"), row(folder, parts="B.tif")))) == 2


@pytest.mark.skipif(os.name != "nt", reason="case counts elsewhere")
def test_rows_that_differ_in_case_on_windows(folder: Path, tmp_path: Path) -> None:
    for second in (row(Path(str(folder).upper())), row(folder, parts="A.TIF"), row(folder, parts="SUB\\C.TIF")):
        with pytest.raises(DocumentError, match="two rows"):
            diadem.read_plan(saved(tmp_path / "plan.csv", row(folder, parts="a.tif\nsub/"), second))


@pytest.mark.parametrize("name", ["plan.csv", "plan.xlsx"])
def test_a_zero_byte_is_no_text(folder: Path, tmp_path: Path, name: str) -> None:
    zero = "\0" if name.endswith("csv") else "_x0000_"  # how a workbook writes it
    plan = saved(tmp_path / name, row(folder), row(folder / f"a{zero}b"))
    with pytest.raises(DocumentError, match="row 3 holds a zero byte"):
        diadem.read_plan(plan)


def test_one_row_twice(folder: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "plan.csv", row(folder, parts="a.tif"), row(folder, parts="a.tif"))
    with pytest.raises(DocumentError, match="two rows") as raised:
        diadem.read_plan(path)
    assert "row 2; row 3" in str(raised.value.where)
    assert len(diadem.read_plan(saved(path, row(folder, parts="a.tif"), row(folder, parts="a.tif", archive="no")))) == 2


@pytest.mark.parametrize("column", ["archive", "folder"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_plan_without_a_column_that_it_needs(folder: Path, tmp_path: Path, column: str, ending: str) -> None:
    path = saved(tmp_path / f"plan{ending}", row(folder), head=[key for key in HEAD if key != column])
    with pytest.raises(DocumentError, match=f"'{column}'") as raised:
        diadem.read_plan(path)
    assert "diadem scan" in str(raised.value.next)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_plan_in_another_encoding_is_refused(folder: Path, tmp_path: Path, encoding: str) -> None:
    text = saved(tmp_path / "plan.csv", row(folder, title="Zürich")).read_text("utf-8-sig")
    (tmp_path / "other.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DocumentError) as raised:
        diadem.read_plan(tmp_path / "other.csv")
    assert "UTF-8" in f"{raised.value.message} {raised.value.next}"


def test_formulas_count_by_their_values_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    for formula, said in (('="y"&"es"', "has no value"), ("=1/0", "has no value")):
        with pytest.raises(DocumentError, match=said):
            diadem.read_plan(saved(tmp_path / "plan.xlsx", row(folder, archive=formula)))
    with pytest.raises(DocumentError, match="has failed"):
        diadem.read_plan(saved(tmp_path / "plan.xlsx", row(folder, archive="#REF!")))
    with pytest.raises(DocumentError, match="'archive' says '#NAME"):
        diadem.read_plan(saved(tmp_path / "plan.csv", row(folder, archive="#NAME?")))
