"""Packing into a folder: stage → seal → publish by one rename."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from diadem.archive.package import Package
from diadem.errors import Interrupted
from diadem.extract.pool import Extractor
from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.model.ports import Bundle, Listener
from diadem.model.report import Level
from diadem.pack.compose import Composition, Options, compose, hash_only, refuse_if_strict
from diadem.pack.ingest import Mirror
from diadem.pack.plan import PackPlan, omitted_dict
from diadem.package.verify import verify
from diadem.store.bundle import LocalBundle
from diadem.store.copying import Copier
from diadem.store.local_errors import SinkFailed, or_else, store_error, translated
from diadem.store.local_store import LocalStore
from diadem.store.object_store import ObjectStore
from diadem.store.stage import Stage, Swept
from diadem.store.staged import read_staged
from diadem.store.system import READ_FLAGS, long_path


def pack_local(
    plan: PackPlan, store: LocalStore, *, extractor: Extractor, options: Options, listener: Listener
) -> Outcome:
    """Pack into a folder.

    Raises
    ------
    Refused
        With `strict`, where anything would be left out; `StoreError` where the store cannot be written.
    Interrupted
        On Ctrl-C; nothing is visible.
    """
    started = time.monotonic()
    refuse_if_strict(plan.tree.omissions, options)
    with Copier() as copier, packing_errors(store.url):
        swept = store.sweep()
        sound = Soundness(Level.LEAVES, "read-back")  # every leaf is read: the user may delete the source next
        outcome = already_there(plan, store, sound, options=options, copier=copier, listener=listener)
        if outcome is None:
            store.check_space(plan.tree.allocated)
            stage = store.stage()
            # What is open keeps a folder from being removed where the file system is FUSE or NFS.
            with or_else(stage.discard), or_else(copier.let_go):
                outcome = _fill(
                    plan, store, stage, sound, extractor=extractor, options=options, copier=copier, listener=listener
                )
    return replace(outcome, swept=swept, seconds=time.monotonic() - started)


def _fill(
    plan: PackPlan,
    store: LocalStore,
    stage: Stage,
    sound: Soundness,
    *,
    extractor: Extractor,
    options: Options,
    copier: Copier,
    listener: Listener,
) -> Outcome:
    with translated(store.url):
        record = stage.target(RECORD_PATH)
    composition = compose(
        plan,
        place=lambda name: stage.target("data/" + name),
        root=lambda _: stage.bag / "data",
        record=record,
        extractor=extractor,
        options=options,
        copier=copier,
        listener=listener,
    )
    copier.let_go()  # Windows, and its shares, rename no folder in which a file is open
    sealed = composition.sealed
    name, package_id, payload_id = composition.name, sealed.package_id, sealed.payload_id
    omissions, issues, flagged = composition.omissions, composition.issues, composition.flagged
    with translated(store.url):
        for path, data in (*composition.derived.items(), *sealed.tag_files.items()):
            stage.write(path, data)
        stage.seal([entry.path for entry in sealed.manifest] + list(sealed.tag_files))
    # From here on the stage speaks for itself. What is in memory goes: with 100,000 files it is most of the peak.
    del composition, sealed
    opened = read_staged(stage, package_id, store.url)
    folder, created = store.publish(
        stage, name, package_id, payload_id, plan.tree_digest, lambda path: sound.holds(LocalBundle(path))
    )
    if not created:
        return Outcome(Package(LocalBundle(folder)), created=False, omissions=omissions, proof=sound.proof)
    package = Package(LocalBundle(folder), opened=opened, proven=True)
    return Outcome(package, True, omissions, issues, flagged)


# -- Packing into an object store. There is no rename there: the source is read twice, hashed, then sent and checked.


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


# -- Recognising what is archived already, before anything is copied or sent.


class Finder(Protocol):
    """What a store knows of the packages in it."""

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""

    def bundles(self, payload: str) -> Iterator[Bundle]:
        """Packages that hold a payload."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """How a package that is there already is proven, before the user is told so and may delete the source.

    One that was read stays judged for the run: a damaged one of a terabyte is not read a second time.

    Attributes
    ----------
    level : Level
        ``leaves`` where reading back is cheap; ``quick`` (all objects in their sizes, tag files) where it is not.
    proof : str
        What is told of it: ``read-back`` or ``earlier``.
    """

    level: Level
    proof: str
    _judged: dict[str, bool] = field(default_factory=dict)

    def holds(self, bundle: Bundle) -> bool:
        """Whether the package is whole, as far as is looked."""
        if bundle.url not in self._judged:
            self._judged[bundle.url] = verify(bundle, level=self.level).ok
        return self._judged[bundle.url]


def already_there(
    plan: PackPlan, finder: Finder, soundness: Soundness, *, options: Options, copier: Copier, listener: Listener
) -> Outcome | None:
    """The package that a source is archived in, or None.

    A tree that looks like an archived one is hashed before anything is copied.

    Raises
    ------
    Refused
        With `strict`, where anything would be left out.
    """
    if not finder.knows_tree(plan.tree_digest):
        return None
    payload, omissions = hash_only(plan, copier, listener)
    refuse_if_strict(omissions, options)
    bundle = next((bundle for bundle in finder.bundles(payload) if soundness.holds(bundle)), None)
    if bundle is None:
        return None
    left_out = [omitted_dict(omission) for omission in omissions]
    return Outcome(Package(bundle), created=False, omissions=left_out, proof=soundness.proof)


# -- What packing did, and the errors of packing in the words of a store.


@dataclass(frozen=True, slots=True)
class Outcome:
    """What packing did.

    Attributes
    ----------
    package : Package
        The package in the store.
    created : bool
        False where the store held this payload already.
    omissions : sequence of mapping
        What was left out: path, kind, reason.
    issues : mapping of str to int
        Codes of the datasets' issues and how often each came.
    flagged : sequence of (path, code)
        The first datasets with issues: primary file and code.
    swept : sequence of Swept
        Leftovers of dead writers that were removed.
    proof : str
        Why the bytes in the store are known to be right: ``written`` (hashed as they were written), ``server``
        (it checked every part), ``read-back`` (every leaf read), ``earlier`` (there already, sizes and tag files
        checked) or ``none``.
    seconds : float
        Time taken.
    """

    package: Package
    created: bool
    omissions: Sequence[Mapping[str, str]]
    issues: Mapping[str, int] = field(default_factory=dict)
    flagged: Sequence[tuple[str, str]] = ()
    swept: Sequence[Swept] = ()
    proof: str = "written"
    seconds: float = 0.0


@contextmanager
def packing_errors(url: str) -> Iterator[None]:
    """Ctrl-C becomes `Interrupted`, a copy that cannot be written `StoreError`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            "packing was stopped; nothing half-made is in the store", next="Run the same command again."
        ) from error
    except SinkFailed as error:
        raise store_error(error.cause, url) from error.cause
