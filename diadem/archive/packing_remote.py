"""Packing into an object store. There is no rename there: the source is read twice, hashed, then sent and checked."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from diadem.archive.already import Soundness, already_there
from diadem.archive.composing import Composition, Options, compose, refuse_if_strict
from diadem.archive.mirror import Mirror
from diadem.archive.outcome import Outcome, packing_errors
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan
from diadem.extract.pool import Extractor
from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.model.ports import Listener
from diadem.model.report import Level
from diadem.store.copying import Copier
from diadem.store.objects import ObjectStore
from diadem.store.system import READ_FLAGS, long_path


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
        # All objects in their sizes, and the tag files; to read everything back is the work of `verify`.
        sound = Soundness(Level.QUICK, "earlier")
        outcome = already_there(plan, store, sound, options=options, copier=copier, listener=listener)
        if outcome is None:
            folder = Path(scratch)
            composition = compose(
                plan,
                place=lambda _: None,
                root=Mirror(plan, folder),
                record=str(folder / "record.json"),
                extractor=extractor,
                options=options,
                copier=copier,
                listener=listener,
            )
            outcome = _send(plan, store, sound, composition, folder / "record.json", listener)
    return replace(outcome, seconds=time.monotonic() - started)


def _send(
    plan: PackPlan, store: ObjectStore, sound: Soundness, composition: Composition, record: Path, listener: Listener
) -> Outcome:
    sealed = composition.sealed
    upload = store.upload(
        composition.name,
        entries=sealed.manifest.entries,
        leaves=sealed.leaves,
        open_source=lambda entry: _open_source(plan, entry),
        tag_files={RECORD_PATH: record.read_bytes(), **composition.derived, **sealed.tag_files},
        tree=plan.tree_digest,
        listener=listener,
        is_sound=lambda path: sound.holds(store.bundle(path)),
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
