"""A scan as the user holds it: tables to look at, a plan to edit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.archive.scan_facts import without_surrogates
from diadem.errors import UsageError
from diadem.model.display import Display, pandas_module
from diadem.model.scan import (
    Archived,
    Concern,
    DuplicateGroup,
    Effort,
    PlannedSession,
    ScanIssue,
    ScannedDataset,
    SingleCopies,
    Totals,
    as_json,
)

#: Sessions and issues that a card shows.
_SHOWN = 50


@dataclass(frozen=True, slots=True, repr=False)
class Scan(Display):
    """The result of a scan of existing folders, which were only read.

    Attributes
    ----------
    roots : sequence of str
        Absolute paths of the folders that were scanned.
    sessions : sequence of PlannedSession
        Sessions that could become one package each; every file is in exactly one.
    datasets : sequence of ScannedDataset
        Every file is in exactly one: instrument data with its side files, or any other file alone.
    duplicates : sequence of DuplicateGroup
        Contents stored more than once, those that waste most space first.
    issues : sequence of ScanIssue
        What deserves attention, starting with what could not be read.
    single_copies : sequence of SingleCopies
        If several folders were given: files that exist only once, in only one of them.
    archived : sequence of Archived
        Packages and stores in the folders, which were not scanned.
    totals : Totals
        Sums.
    effort : Effort
        How much was read, and how much was known from earlier scans.
    notices : sequence of str
        What was unusual about the scan itself, such as a cache that could not be used.
    """

    roots: Sequence[str]
    sessions: Sequence[PlannedSession]
    datasets: Sequence[ScannedDataset]
    duplicates: Sequence[DuplicateGroup]
    issues: Sequence[ScanIssue]
    single_copies: Sequence[SingleCopies]
    archived: Sequence[Archived]
    totals: Totals
    effort: Effort
    notices: Sequence[str] = ()

    def _display_title(self) -> str:
        return repr(self).removeprefix("<Scan ").removesuffix(">")

    def _display_document(self) -> Mapping[str, Any]:
        return {
            "totals": as_json(self.totals),
            "sessions": [_session_dict(session) for session in self.sessions[:_SHOWN]],
            "issues": as_json(self.issues[:_SHOWN]),
            "notices": list(self.notices),
            "next": "scan.save('plan.xlsx'), scan.save('scan.html'), scan.to_dataframe()",
        }

    def __repr__(self) -> str:
        """Numbers, not tables."""
        counts = (self.datasets, self.sessions, self.duplicates, self.issues)
        names = ("datasets", "sessions", "duplicates", "issues")
        said = ", ".join(f"{len(count):,} {name}" for count, name in zip(counts, names, strict=True))
        return f"<Scan of {', '.join(map(without_surrogates, self.roots))}: {said}>"

    @property
    def complete(self) -> bool:
        """Whether everything could be read."""
        return not any(issue.concern is Concern.UNSEEN for issue in self.issues)

    def plan(self) -> tuple[PlannedSession, ...]:
        """The sessions, to be changed with `dataclasses.replace`, or saved and edited in Excel or LibreOffice."""
        return tuple(self.sessions)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the tables.

        Parameters
        ----------
        path : path
            ``.csv``: the datasets; ``.xlsx``: all tables, a sheet each; ``.html``: one page to look at.

        Raises
        ------
        UsageError
            Another ending.
        Refused
            It would be in a scanned folder, or cannot be written.
        """
        from diadem.archive.scan_page import scan_page
        from diadem.archive.scan_sheets import datasets_csv
        from diadem.archive.scan_workbook import write_workbook
        from diadem.archive.scan_writing import written

        target = Path(path)
        ending = target.suffix.lower()
        if ending == ".xlsx":
            return written(target, self.roots, lambda place: write_workbook(place, self))
        if ending == ".csv":
            return written(target, self.roots, lambda place: place.write_bytes(datasets_csv(self)))
        if ending in (".html", ".htm"):
            return written(target, self.roots, lambda place: place.write_bytes(scan_page(self)))
        raise UsageError(f"a scan cannot be written as '{ending}'", where=str(target), next="Use .csv, .xlsx or .html.")

    def save_plan(self, path: str | os.PathLike[str], sessions: Iterable[PlannedSession] | None = None) -> Path:
        """Write the plan, one row per session, to edit and read with `diadem.read_plan`.

        Parameters
        ----------
        path : path
            ``.csv`` or ``.xlsx``.
        sessions : iterable of PlannedSession, optional
            Instead of those found.

        Raises
        ------
        UsageError, Refused
            See `save`.
        """
        from diadem.archive.scan_plan import write_plan
        from diadem.archive.scan_writing import written

        rows = list(self.sessions if sessions is None else sessions)
        return written(Path(path), self.roots, lambda place: write_plan(place, rows))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values; numbers in SI units."""
        return {
            "roots": [without_surrogates(root) for root in self.roots],
            "complete": self.complete,
            "totals": as_json(self.totals),
            "sessions": [_session_dict(session) for session in self.sessions],
            "datasets": [_dataset_dict(dataset) for dataset in self.datasets],
            "duplicates": [{**as_json(group), "spare": group.spare} for group in self.duplicates],
            "single_copies": as_json(self.single_copies),
            "issues": as_json(self.issues),
            "archived": as_json(self.archived),
            "effort": as_json(self.effort),
            "notices": list(self.notices),
        }

    def to_dataframe(self) -> Any:
        """Return the datasets as a pandas DataFrame, one row each, with units in the column names.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        from diadem.archive.scan_columns import dataset_columns

        columns = dataset_columns(self)
        data = {column.key: [column.value(dataset) for dataset in self.datasets] for column in columns}
        return pandas_module().DataFrame(data)


def _dataset_dict(dataset: ScannedDataset) -> dict[str, Any]:
    """A dataset with its facts beside it; the issues are listed for the whole scan, here only their codes."""
    plain = as_json(dataset)
    facts = plain.pop("facts")
    return {**plain, **facts, "issues": [issue.code for issue in dataset.issues]}


def _session_dict(session: PlannedSession) -> dict[str, Any]:
    plain = as_json(session)
    return {
        **plain,
        "folder": without_surrogates(session.folder),
        "parts": [without_surrogates(part) for part in session.parts],
    }
