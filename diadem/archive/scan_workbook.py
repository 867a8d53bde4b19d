"""All tables of a scan in one workbook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diadem.archive.scan_columns import (
    DUPLICATE_COLUMNS,
    ISSUE_COLUMNS,
    SINGLE_COLUMNS,
    TOTAL_COLUMNS,
    dataset_columns,
    total_rows,
)
from diadem.archive.scan_plan import add_plan
from diadem.archive.scan_sheets import Workbook

if TYPE_CHECKING:
    from diadem.archive.scan import Scan


def write_workbook(path: Path, scan: Scan) -> None:
    """All tables of a scan: datasets, sessions (the plan), issues, duplicates, single copies, totals."""
    duplicates = [
        (number, group, path) for number, group in enumerate(scan.duplicates, start=1) for path in group.paths
    ]
    singles = [(single.root, path) for single in scan.single_copies for path in single.paths]
    book = Workbook(path)
    book.add("datasets", dataset_columns(scan), scan.datasets)
    add_plan(book, scan.sessions)
    book.add("issues", ISSUE_COLUMNS, scan.issues)
    book.add("duplicates", DUPLICATE_COLUMNS, duplicates)
    if len(scan.roots) > 1:
        book.add("single copies", SINGLE_COLUMNS, singles)
    book.add("totals", TOTAL_COLUMNS, total_rows(scan))
    book.close()
