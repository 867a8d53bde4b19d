"""What is wished of archiving, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.archive.package import Package
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.node.keep.copies import Copy, Debt
from diadem.node.samples.naming import Suggestion
from diadem.pack.pack import Outcome


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to archive.

    Attributes
    ----------
    metadata : mapping, optional
        Session, sample, people, instrument; see `diadem.pack`.
    strict : bool
        Refuse if any file cannot be archived.
    as_one : bool
        One package, even where the folder looks like several sessions.
    wait : bool
        Wait until the session is finished, rather than refuse.
    now : bool
        Archive even if it has just changed.
    in_place : bool
        Adopt the folder where it lies.
    store : str, optional
        Which store is filled first.
    called : str
        What the log calls the source, where its path says nothing; "" for the path.
    still : callable, optional
        Called when the last byte was read and nothing is visible yet; raises where the source has changed meanwhile.
    """

    metadata: Mapping[str, Any] | None = None
    strict: bool = False
    as_one: bool = False
    wait: bool = False
    now: bool = False
    in_place: bool = False
    store: str | None = None
    called: str = ""
    still: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Archived(Display):
    """What archiving did.

    Attributes
    ----------
    package : Package
        The package, in the store that was filled first.
    what : str
        ``new``, ``continuation``, ``taken`` (it was a package) or ``already`` (these files were archived before).
    predecessor : str or None
        The package that this one continues.
    copies : sequence of Copy
        Every copy of the package, the first included, and copies of other packages of its chain that were written now.
    debts : sequence of Debt
        Copies that the policy wants and that could not be written now.
    outcome : Outcome
        What packing did: omissions, issues, leftovers that were removed.
    held_by : sequence of PackageId
        The packages that together hold the source, the earliest first.
    lost : sequence of PackageId
        Packages that held a part of the source and of which no copy is left: that part was archived again.
    seconds : float
        Time taken.
    suggested : sequence of Suggestion
        Known samples that it may be of.
    """

    _display_keys = (
        "files",
        "bytes",
        "datasets",
        "seconds",
        "issues",
        "copies: store path proof",
        "debts: store reason",
        "omitted: path kind reason",
    )

    def _display_title(self) -> str:
        return f"{self.what} {self.package.id[7:19]}"

    def _display_pictures(self) -> Mapping[str, str]:
        return self.package._display_pictures()  # noqa: SLF001

    package: Package
    what: str
    copies: Sequence[Copy]
    outcome: Outcome
    debts: Sequence[Debt] = ()
    predecessor: str | None = None
    held_by: Sequence[PackageId] = ()
    lost: Sequence[PackageId] = ()
    seconds: float = 0.0
    suggested: Sequence[Suggestion] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; ``package`` has id, payload_id and path as for `diadem pack`."""
        return {
            "package": {"id": self.package.id, "payload_id": self.package.payload_id, "path": self.package.url},
            "what": self.what,
            "created": self.what != "already",
            "predecessor": self.predecessor,
            "held_by": [str(one) for one in self.held_by],
            "lost": [str(one) for one in self.lost],
            "files": len(self.package.files),
            "bytes": sum(entry.size for entry in self.package.files),
            "datasets": len(self.package.record.datasets),
            "copies": [copy.to_dict() for copy in self.copies],
            "debts": [debt.to_dict() for debt in self.debts],
            "omitted": [dict(item) for item in self.outcome.omissions],
            "issues": dict(self.outcome.issues),
            "flagged": [{"path": path, "code": code} for path, code in self.outcome.flagged],
            "swept": [swept.path for swept in self.outcome.swept],
            "samples": [suggestion.to_dict() for suggestion in self.suggested],
            "seconds": round(self.seconds, 3),
        }
