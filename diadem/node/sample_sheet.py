"""The samples of a node as a sheet that people edit: one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from diadem.archive.scan_columns import Column
from diadem.archive.scan_sheets import write_table
from diadem.model.sample_cells import COLUMNS, sample_cells
from diadem.model.statements import Subject
from diadem.model.table_changes import WrittenTable
from diadem.node.catalogue import Catalogue
from diadem.node.sample_reading import SampleReading

SHEET: Final = "samples"
ID, AS_OF, WHERE = "id", "as of", "where"
#: All columns, in their order.
KEYS: Final = (*COLUMNS, WHERE, ID, AS_OF)
MAKE: Final = "diadem sample export samples.xlsx"
#: Before the id of a statement in a cell: so no spreadsheet program takes it for a number.
STATEMENT: Final = "statement:"

_Row = Mapping[str, str]


def write_samples(reading: SampleReading, path: Path, *, replace: bool) -> WrittenTable:
    """Write all samples to ``.csv`` or ``.xlsx``."""
    rows = sample_rows(reading)
    write_table(path, _columns(), rows, sheet=SHEET, replace=replace)
    return WrittenTable(str(path), len(rows))


def sample_rows(reading: SampleReading) -> list[dict[str, str]]:
    """All samples by their identifiers, each by the columns of the sheet."""
    catalogue = reading.context.catalogue
    samples = catalogue.samples()
    names, where = {one.id: one.identifier for one in samples}, reading.whereabouts()
    return [
        {
            **sample_cells(one, names),
            WHERE: str(where[one.id]) if where[one.id].since else "",
            ID: one.id,
            AS_OF: STATEMENT + last_said(catalogue, one.id),
        }
        for one in samples
    ]


def last_said(catalogue: Catalogue, sample_id: str) -> str:
    """Id of the last statement about a sample."""
    return catalogue.sample_places(Subject.named(sample_id).sha256)[-1][1]


def _columns() -> Sequence[Column[_Row]]:
    def column(key: str) -> Column[_Row]:
        return Column(key, key, "text", lambda row: row[key])

    return [column(key) for key in KEYS]
