"""What a watcher tells of one session of a watched folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diadem.errors import DiademError, machine_error
from diadem.model.display import Display
from diadem.node.take.archived import Archived
from diadem.pack.plan import text_of


@dataclass(frozen=True, slots=True)
class Watched(Display):
    """What became of a session, or of a whole watched folder, in one look.

    Attributes
    ----------
    folder : str
        The watched folder.
    session : str
        Its name in the folder; "" where it is about the folder.
    state : str
        ``waiting``, ``archived``, ``failed``, ``left``, ``no``, ``later`` or ``empty``; of a folder ``away``,
        ``refused`` or ``there``; of a dry run ``would archive``.
    words : str
        Why.
    files, bytes : int
        What is in it.
    archived : sequence of Archived
        What was archived just now.
    error : DiademError or None
        Why it was not.
    """

    folder: str
    session: str
    state: str
    words: str = ""
    files: int = 0
    bytes: int = 0
    archived: Sequence[Archived] = ()
    error: DiademError | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "folder": text_of(os.fsencode(self.folder)),
            "session": text_of(os.fsencode(self.session)),
            "state": self.state,
            "words": self.words,
            "files": self.files,
            "bytes": self.bytes,
            "archived": [one.to_dict() for one in self.archived],
            "error": self.error.to_dict() if self.error else None,
        }


def unexpected(failure: Exception) -> DiademError:
    """What is told of a session that failed in a way that nobody has thought of."""
    told = machine_error(failure) if isinstance(failure, OSError) else None
    return told or DiademError(
        f"this should not have happened: {type(failure).__name__}: {failure}",
        next="Please report it. It is tried again; other sessions are archived as usual.",
    )
