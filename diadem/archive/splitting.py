"""From a plan of sessions to one `PackPlan` for each: names stay relative to the session's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.archive.plan import PackPlan, make_plan
from diadem.errors import DocumentError
from diadem.hooks.offers import ReaderOffer
from diadem.model.scan import STAR, PlannedSession

#: How a part is written that is a file of the name ``*``.
_NAMED_STAR = "[*]"


def plan_session(
    session: PlannedSession,
    *,
    store: Path | None,
    readers: Sequence[ReaderOffer],
    metadata: Mapping[str, Any] | None = None,
) -> PackPlan:
    """What packing one session would do. Nothing is written.

    Parameters
    ----------
    session : PlannedSession
        With its parts; none means the whole folder.
    store : Path or None
        The folder that the package will lie in.
    readers : sequence of ReaderOffer
        Who can read what.
    metadata : mapping, optional
        More than the plan says, or other: it goes before title, date and sample of the plan.

    Raises
    ------
    NotFound
        A part has gone since the plan was made.
    UsageError
        There is no file in it.
    DocumentError
        A part leads out of the folder, or the metadata break their schema.
    """
    base = Path(session.folder)
    sources, shallow = parts_of(session)
    return make_plan(
        sources or [base],
        store=store,
        metadata=merged_metadata(session.metadata, metadata or {}),
        readers=readers,
        base=base if sources else None,
        shallow=shallow,
    )


def parts_of(session: PlannedSession) -> tuple[list[Path], list[Path]]:
    """Paths of the parts of a session, and which of them are folders of which only the files directly in them count.

    Raises
    ------
    DocumentError
        A part leads out of the session's folder.
    """
    base = Path(session.folder)
    sources: list[Path] = []
    shallow: list[Path] = []
    for part in session.parts:
        pieces = part.rstrip("/").split("/")
        if pieces[-1] == STAR and not part.endswith("/"):
            pieces.pop()
            shallow.append(base.joinpath(*_inside(session, part, pieces)))
            sources.append(shallow[-1])
        else:
            pieces[-1] = STAR if pieces[-1] == _NAMED_STAR else pieces[-1]
            sources.append(base.joinpath(*_inside(session, part, pieces)))
    return sources, shallow


def _inside(session: PlannedSession, part: str, pieces: list[str]) -> list[str]:
    if any(piece in ("", ".", "..") or os.path.splitdrive(piece)[0] for piece in pieces):
        raise DocumentError(
            f"the part '{part}' is not in the session's folder",
            where=session.folder,
            next="Name files and sub-folders of the folder, with / between the names.",
        )
    return pieces


def merged_metadata(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two metadata documents as one: what the second says of a key goes before what the first says.

    Sections are merged key by key; lists, such as the people, are taken whole.
    """
    merged = dict(first)
    for section, said in second.items():
        known = merged.get(section)
        both = isinstance(known, Mapping) and isinstance(said, Mapping)
        merged[section] = {**known, **said} if both else said  # type: ignore[dict-item]
    return merged
