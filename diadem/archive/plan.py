"""What packing would do, worked out from names and sizes before a byte of the payload is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import UsageError
from diadem.extract.survey import DatasetPlan, survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.names import stored_names
from diadem.serialization.record_json import validate_metadata
from diadem.store.source import Omission, SourceFile, SourceTree, read_tree
from diadem.trust.hashing import tree_digest


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

    Parameters
    ----------
    sources, base, shallow
        See `read_tree`.
    store : Path or None
        The folder that the package will lie in, to see that it is not in a source.
    metadata : object
        Session, sample, people and instrument, as a person says them.
    readers : sequence of ReaderOffer
        Who can read what.

    Raises
    ------
    UsageError
        If there is no file, or source and store lie within each other.
    NotFound
        If a source does not exist.
    DocumentError
        If the metadata breaks its schema.
    """
    checked = validate_metadata({} if metadata is None else metadata)
    if store is not None:
        _keep_apart(sources, store, shallow)
    tree = read_tree(sources, base=base, shallow=shallow)
    names = stored_names([*(file.name for file in tree.files), *tree.empty_folders])
    files = {names[file.name]: file for file in tree.files}
    datasets = survey(((name, file.size) for name, file in files.items()), readers)
    return PackPlan(tree, files, [names[folder] for folder in tree.empty_folders], datasets, checked)


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
