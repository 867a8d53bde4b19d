"""The judgements of a node as a sheet: written for people, and read back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.model.display import Display
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.table_changes import TableChanges, WrittenTable
from diadem.node.context import Context


@dataclass(frozen=True, slots=True)
class JudgementVerbs(Display):
    """Assessments of many packages at once: `node.judgements`.

    Parameters
    ----------
    context : Context
        The node.
    """

    context: Context
    _display_name = "judgements"

    def _display_document(self) -> dict[str, Any]:
        return {}

    def _display_title(self) -> str:
        return "assessments of many packages as a sheet: export, import_"

    def export(
        self,
        path: str | os.PathLike[str],
        query: str = "",
        *,
        todo: bool = False,
        purpose: str = "",
        replace: bool = False,
    ) -> WrittenTable:
        """Write assessments as a sheet that people edit and `import_` reads: one row for each that counts, anybody's.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        query : str
            Of the packages that this search finds; default of all.
        todo : bool
            Instead one row for each dataset that nobody has assessed yet, with an empty verdict.
        purpose : str
            With `todo`: that nobody has assessed for this purpose, which is filled in.
        replace : bool
            Replace the file if it exists; somebody may have edited it.

        Raises
        ------
        UsageError
            The file exists already, its ending is another one, or the query cannot be understood.
        """
        from diadem.errors import UsageError
        from diadem.node.quality.judgement_sheet import write_judgements

        if purpose and not todo:
            raise UsageError(
                "a purpose is for what is still to be assessed", next="Search: purpose:EELS; or use --todo."
            )
        return write_judgements(self.context, Path(path), query, todo=todo, purpose=purpose, replace=replace)

    def import_(
        self,
        path: str | os.PathLike[str],
        *,
        dry_run: bool = False,
        shown: TableChanges | None = None,
        listener: Listener = progress_bar,
    ) -> TableChanges:
        """Import a sheet that `export` has written and somebody has edited, in the name of the current user.

        Only edited cells count, and only in one's own assessments. A row that has a verdict and names no
        statement is a new assessment. What its assessor has said since the sheet was written is never undone: that is a
        conflict, which is told and not written.

        Parameters
        ----------
        path : path
            ``.xlsx`` or ``.csv``.
        dry_run : bool
            Say what would be written.
        shown : TableChanges, optional
            What a person has agreed to; anything else is refused.
        listener : Listener
            Told of progress.

        Returns
        -------
        TableChanges
            What was written. A run that is stopped can be repeated: what is known already is recognised.

        Raises
        ------
        NotFound
            There is no such file.
        DocumentError
            It is not a table; or, unless it is a dry run, something in it cannot be understood. Nothing was written.
        Refused
            The node has changed since `shown`.
        """
        from diadem.node.quality.judgement_importing import plan_judgements

        if dry_run:
            return plan_judgements(self.context, Path(path)).outcome()
        self.context.require_writable()
        with self.context.locked("judgements"):
            return plan_judgements(self.context, Path(path)).carry_out(self.context, shown, listener)
