"""What is wanted of an export, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diadem.export.pages import WHOLE
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.node.give.exporting_redacted import Redaction
from diadem.node.take.package_chain import Lacking


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to export; see `Node.export`.

    Attributes
    ----------
    to : str
        For whom.
    only : str
        `WHOLE`, `RAW` or `RECORD`.
    redact, chain, dry_run : bool
        Take people out; the whole session; say what would be done.
    """

    to: str
    only: str = WHOLE
    redact: bool = False
    chain: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Exported(Display):
    """What was given out.

    Attributes
    ----------
    path : Path
        The ZIP.
    to : str
        For whom.
    packages : sequence of PackageId
        What is in it.
    files, content_bytes : int
        What was exported: files of the instruments, or of metadata, and their bytes.
    only : str
        What of them: ``package``, ``raw`` or ``record``.
    bytes, sha256
        Of the ZIP; 0 and "" for a dry run.
    statement_id : str
        The `handover` in the log; "" for a dry run.
    others : int
        Packages of the session that are not in it.
    lacking : sequence of Lacking
        Packages of the session that are gone.
    redaction : Redaction or None
        What was taken out, and what could not be.
    damaged : sequence of str
        Stores whose copy turned out to be damaged; the bytes came from another.
    done : bool
        False for a dry run.
    seconds : float
        How long it took.
    """

    path: Path
    to: str
    packages: Sequence[PackageId]
    files: int
    content_bytes: int
    only: str
    bytes: int = 0
    sha256: str = ""
    statement_id: str = ""
    others: int = 0
    lacking: Sequence[Lacking] = ()
    redaction: Redaction | None = None
    damaged: Sequence[str] = ()
    done: bool = True
    seconds: float = 0.0
    renamed: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        """Whether nothing is missing, and nothing that was to be taken out is in it as far as that can be seen."""
        return not self.lacking and (self.redaction is None or self.redaction.clean)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "done": self.done,
            "path": str(self.path),
            "to": self.to,
            "packages": [str(package) for package in self.packages],
            "only": None if self.only == WHOLE else self.only,
            "files": self.files,
            "content_bytes": self.content_bytes,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "statement": self.statement_id,
            "others": self.others,
            "lacking": [one.to_dict() for one in self.lacking],
            "renamed": [{"name": here, "original": there} for here, there in self.renamed],
            "redaction": None if self.redaction is None else self.redaction.to_dict(),
            "damaged": list(self.damaged),
            "seconds": round(self.seconds, 3),
        }
