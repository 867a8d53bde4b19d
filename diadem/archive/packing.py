"""Packing into a folder: stage → seal → publish by one rename."""

from __future__ import annotations

import time
from dataclasses import replace

from diadem.archive.already import Soundness, already_there
from diadem.archive.composing import Options, compose, refuse_if_strict
from diadem.archive.outcome import Outcome, packing_errors
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan
from diadem.extract.pool import Extractor
from diadem.model.manifest import RECORD_PATH
from diadem.model.ports import Listener
from diadem.model.report import Level
from diadem.store.copying import Copier
from diadem.store.draft import read_staged
from diadem.store.folder import FolderStore
from diadem.store.local_errors import or_else, translated
from diadem.store.stage import Stage


def pack_local(
    plan: PackPlan, store: FolderStore, *, extractor: Extractor, options: Options, listener: Listener
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
        swept = store.sweep_stages()
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
    store: FolderStore,
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
    path, created = store.publish(
        stage, name, package_id, payload_id, plan.tree_digest, lambda path: sound.holds(store.bundle(path))
    )
    if not created:
        return Outcome(Package(store.bundle(path)), created=False, omissions=omissions, proof=sound.proof)
    package = Package(store.bundle(path), opened=opened, proven=True)
    return Outcome(package, True, omissions, issues, flagged)
