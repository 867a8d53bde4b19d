"""Packing into an object store. There is no rename there: the source is read twice, hashed, then sent and checked."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from diadem.archive.already import Soundness, already_there
from diadem.archive.composing import Composition, Options, compose, refuse_if_strict
from diadem.archive.outcome import Outcome, packing_errors
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan
from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.model.ports import Listener
from diadem.model.report import Level
from diadem.store.copying import Copier
from diadem.store.object_store import ObjectStore
from diadem.store.system import READ_FLAGS, long_path

#: Bytes of a dataset whose names were mapped, above which it is not copied for its reader.
_MAX_MIRRORED = 256 << 20


#: All objects in their sizes, and the tag files; to read everything back is the work of `verify`.
_SOUND = Soundness(Level.QUICK, "earlier")


def pack_object(
    plan: PackPlan,
    url: str,
    *,
    storage_options: Mapping[str, Any] | None,
    extractor: Extractor,
    options: Options,
    listener: Listener,
) -> Outcome:
    """Pack into an object store.

    Raises
    ------
    Refused
        With `strict`, where anything would be left out; or where the store refuses.
    Unreachable
        If the store does not answer.
    DigestMismatch
        If the source changed between the two reads; nothing is visible.
    Interrupted
        On Ctrl-C; nothing is visible.
    """
    started = time.monotonic()
    refuse_if_strict(plan.tree.omissions, options)
    store = ObjectStore(url, storage_options)
    with Copier() as copier, packing_errors(url), tempfile.TemporaryDirectory(prefix="diadem-") as scratch:
        store.probe()
        outcome = already_there(plan, store, _SOUND, options=options, copier=copier, listener=listener)
        if outcome is None:
            folder = Path(scratch)
            composition = compose(
                plan,
                place=lambda _: None,
                root=_Mirror(plan, folder),
                record=str(folder / "record.json"),
                extractor=extractor,
                options=options,
                copier=copier,
                listener=listener,
            )
            outcome = _send(plan, store, composition, folder / "record.json", listener)
    return replace(outcome, seconds=time.monotonic() - started)


def _send(plan: PackPlan, store: ObjectStore, composition: Composition, record: Path, listener: Listener) -> Outcome:
    sealed = composition.sealed
    upload = store.upload(
        composition.name,
        entries=sealed.manifest.entries,
        leaves=sealed.leaves,
        open_source=lambda entry: _open_source(plan, entry),
        tag_files={RECORD_PATH: record.read_bytes(), **composition.derived, **sealed.tag_files},
        tree=plan.tree_digest,
        listener=listener,
        is_sound=lambda path: _SOUND.holds(store.bundle(path)),
    )
    package = Package(store.bundle(upload.path), proven=upload.made and upload.proven)
    return Outcome(
        package,
        upload.made,
        composition.omissions,
        composition.issues,
        composition.flagged,
        proof=str(upload.proof),
    )


def _open_source(plan: PackPlan, entry: FileEntry) -> BinaryIO:
    return os.fdopen(os.open(long_path(plan.files[entry.name].path), READ_FLAGS), "rb")


class _Mirror:
    """The folder under which a dataset's files lie by their stored names: the source itself, or copies of small ones.

    A reader goes by names and by what lies beside a file, so files whose names were mapped are shown to it under
    their stored names in a scratch folder. Of larger ones it is shown nothing: they are archived unread.
    """

    def __init__(self, plan: PackPlan, scratch: Path) -> None:
        self._plan = plan
        self._scratch = scratch

    def __call__(self, dataset: DatasetPlan) -> Path:
        """The folder for one dataset."""
        roots = {self._root_of(file.path) for file in dataset.files}
        if len(roots) == 1 and None not in roots:
            return Path(str(roots.pop()))
        folder = self._scratch / dataset.id
        folder.mkdir()
        if sum(file.size for file in dataset.files) > _MAX_MIRRORED:
            return folder
        for file in dataset.files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._plan.files[file.path].path, target)
        return folder

    def _root_of(self, stored: str) -> str | None:
        """What is left of the file's path without its stored path, or None where the two differ."""
        path = Path(self._plan.files[stored].path).as_posix()
        return path[: -len(stored) - 1] if path.endswith("/" + stored) else None
