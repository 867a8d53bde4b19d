"""What packing would do, worked out from names and sizes before a byte of the payload is read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import DocumentError, UsageError
from diadem.extract.survey import DatasetPlan, survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.names import stored_names
from diadem.model.scan import STAR, PlannedSession
from diadem.serialization.validation import validate_metadata
from diadem.store.source import Omission, SourceFile, SourceTree, read_tree
from diadem.trust.hashing import tree_digest

#: How a part of a session is written that is a file of the name ``*``.
_NAMED_STAR = "[*]"


@dataclass(frozen=True, slots=True)
class PackPlan(Display):
    """A source, ready to be packed.

    Attributes
    ----------
    tree : SourceTree
        What was found.
    files : mapping of str to SourceFile
        Stored path, relative to `data/`, to the file.
    empty_folders : sequence of str
        Stored paths of empty folders.
    datasets : sequence of DatasetPlan
        The files, grouped.
    metadata : mapping
        Session, sample, people and instrument, validated.
    """

    tree: SourceTree
    files: Mapping[str, SourceFile]
    empty_folders: Sequence[str]
    datasets: Sequence[DatasetPlan]
    metadata: Mapping[str, Any]

    @property
    def tree_digest(self) -> str:
        """Digest of stored paths and sizes."""
        return tree_digest((name, file.size) for name, file in self.files.items())

    @property
    def mapped(self) -> Mapping[str, bytes]:
        """Stored path to original path, for the files whose name changes."""
        return {name: file.name for name, file in self.files.items() if file.name != name.encode()}

    def to_dict(self) -> dict[str, Any]:
        """What would be archived, mapped and left out, as JSON."""
        return {
            "files": len(self.files),
            "bytes": self.tree.size,
            "datasets": [
                {"id": plan.id, "primary": plan.files[0].path, "files": len(plan.files), "readers": list(plan.offers)}
                for plan in self.datasets
            ],
            "mapped": [{"original": text_of(old), "stored": new} for new, old in self.mapped.items()],
            "omitted": [omitted_dict(omission) for omission in self.tree.omissions],
            "empty_dirs": list(self.empty_folders),
        }


def make_plan(
    sources: Sequence[Path],
    *,
    store: Path | None,
    metadata: object,
    readers: Sequence[ReaderOffer],
    base: Path | None = None,
    shallow: Collection[Path] = (),
) -> PackPlan:
    """List the sources, find stored names, and group files to datasets. Nothing is written.

    `store` is the folder that the package will lie in, to see that it is not in a source. Raises `UsageError` where
    there is no file, or source and store lie in each other; `NotFound`; `DocumentError` for metadata.
    """
    checked = validate_metadata({} if metadata is None else metadata)
    if store is not None:
        _keep_apart(sources, store, shallow)
    tree = read_tree(sources, base=base, shallow=shallow)
    names = stored_names([*(file.name for file in tree.files), *tree.empty_folders])
    files = {names[file.name]: file for file in tree.files}
    datasets = survey(((name, file.size) for name, file in files.items()), readers)
    return PackPlan(tree, files, [names[folder] for folder in tree.empty_folders], datasets, checked)


def plan_session(
    session: PlannedSession,
    *,
    store: Path | None,
    readers: Sequence[ReaderOffer],
    metadata: Mapping[str, Any] | None = None,
) -> PackPlan:
    """What packing one session would do: its parts, or without any the whole folder. Nothing is written.

    `metadata` go before title, date and sample of the plan. Raises `NotFound` where a part has gone since the plan was
    made, `UsageError` where there is no file in it, `DocumentError` where a part leads out of the folder.
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
    """Paths of the parts of a session, and which of them are folders of which only the files directly in them count."""
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


def _keep_apart(sources: Sequence[Path], store: Path, shallow: Collection[Path]) -> None:
    """An archive must not archive itself."""
    home = store.resolve()
    for source in sources:
        folder = source.resolve()
        if home == folder or (folder.is_dir() and source not in shallow and folder in home.parents):
            raise UsageError(
                "the store is inside the folder to be archived",
                where=str(store),
                next="Choose a store outside it.",
            )


def omitted_dict(omission: Omission) -> dict[str, str]:
    """An omission as the record states it."""
    return {"path": text_of(omission.name), "kind": omission.kind, "reason": omission.reason}


def text_of(name: bytes) -> str:
    r"""A path as text; bytes that are no UTF-8 are written ``\xff``."""
    return name.decode("utf-8", "backslashreplace")
