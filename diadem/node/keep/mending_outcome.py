"""What a mending did to a copy, and what it could not do: values for the log and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diadem.model.display import Display


@dataclass(frozen=True, slots=True)
class Repair(Display):
    """Damaged bytes that were replaced by proven ones.

    Attributes
    ----------
    path : str
        The file, relative to the bag.
    leaf : int or None
        Index of the leaf within the file; None for a whole file.
    source : str
        ``parity``, ``replica:<store>``, ``catalogue``; ``manifest`` for an empty file; ``itself`` for a file that had
        only bytes too many; several, with commas, for a file put together from several.
    before : str or None
        64 hex digits of what was there, BLAKE3 of a leaf or SHA-256 of a file; None where nothing could be read.
    after : str
        The same of what is there now.
    """

    path: str
    leaf: int | None
    source: str
    before: str | None
    after: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "path": self.path,
            "leaf": self.leaf,
            "from": self.source,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class Unmended(Display):
    """Damage that is still there, and why."""

    path: str
    leaf: int | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"path": self.path, "leaf": self.leaf, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Mended(Display):
    """What became of a damaged copy.

    Attributes
    ----------
    repairs : tuple of Repair
        What was replaced, in order.
    unmended : tuple of Unmended
        What could not be.
    extras : tuple of str
        Files that have no place in the package and are still in it.
    set_aside : mapping of str to str
        Those that were moved away: path in the bag to path in the store.
    """

    repairs: tuple[Repair, ...]
    unmended: tuple[Unmended, ...]
    extras: tuple[str, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the copy should verify now. The caller verifies it, in full, and believes only that."""
        return not self.unmended and not self.extras

    @property
    def touched(self) -> tuple[str, ...]:
        """Files that were written to: these have to be verified in full."""
        return tuple(sorted({repair.path for repair in self.repairs}))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "complete": self.complete,
            "repairs": [repair.to_dict() for repair in self.repairs],
            "unmended": [unmended.to_dict() for unmended in self.unmended],
            "extras": list(self.extras),
            "set_aside": dict(self.set_aside),
        }
