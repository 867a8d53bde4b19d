"""Adopting a folder where it lies: read and sealed like any other, but not copied, and never written.

The folder is a replica of its package. Where the package is known already, from a store or from a folder that has gone,
its own sealed files are taken, so that one payload stays one package.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diadem.archive.already import Finder
from diadem.archive.composing import Options, compose, hash_only, refuse_if_strict
from diadem.archive.mirror import Mirror
from diadem.archive.outcome import Outcome, packing_errors
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan, omitted_dict
from diadem.errors import DiademError, IntegrityError, PackageError, Refused, UsageError
from diadem.extract.pool import Extractor
from diadem.model.ids import PackageId
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, TAGMANIFEST
from diadem.model.ports import Bundle, Listener
from diadem.model.system_paths import path_within
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, read_tag_file
from diadem.package.tags import parse_manifest
from diadem.store.adopted import AdoptedBundle, AdoptedFolders
from diadem.store.bundle import LocalBundle
from diadem.store.copying import Copier
from diadem.store.local_errors import translated
from diadem.store.location import Location
from diadem.store.source import Omission
from diadem.store.stage import Stage
from diadem.trust.hashing import sha256_hex, tree_digest

#: Bytes of a derived file above which it is not copied: records of a million images.
_DERIVED_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting did.

    Attributes
    ----------
    outcome : Outcome
        As of packing: `created` is False where this very folder was adopted before.
    location : Location
        Where the files are; `location.path` is what the package is called in a store.
    """

    outcome: Outcome
    location: Location


def adopt(
    plan: PackPlan,
    folders: AdoptedFolders,
    *,
    extractor: Extractor,
    options: Options,
    listener: Listener,
    known: Sequence[tuple[Finder, str]] = (),
) -> Adoption:
    """Adopt the folder that a plan was made of.

    Parameters
    ----------
    plan : PackPlan
        Of one folder or one file.
    folders : AdoptedFolders
        Where the sealed files are kept.
    extractor, options, listener
        As for packing.
    known : sequence of (Finder, address)
        Stores whose packages are recognised, each with its address, from which a package's path in it is taken.

    Raises
    ------
    UsageError
        The plan is of several folders.
    Refused
        With `strict`, where anything would be left out; or the same files are adopted from another folder that is
        still there.
    Interrupted
        On Ctrl-C; nothing was kept.
    """
    started = time.monotonic()
    root = root_of(plan)
    refuse_if_strict(plan.tree.omissions, options)
    with Copier() as copier, packing_errors(folders.url):
        swept = folders.sweep()
        adopting = _Adopting(plan, root, folders, options, copier, listener)
        adoption = adopting.recognised(known) or adopting.sealed(extractor)
    outcome = replace(adoption.outcome, swept=swept, seconds=time.monotonic() - started)
    return replace(adoption, outcome=outcome)


def adopt_again(bundle: Bundle, path: str, root: str, folders: AdoptedFolders) -> Location:
    """Keep again what a node kept of a folder that it adopted, from a copy of the package in a store.

    Nothing in the folder is read, and nothing of it is proven by this.

    Parameters
    ----------
    bundle : Bundle
        The copy.
    path : str
        Its path in the store.
    root : str
        Where the folder was.
    folders : AdoptedFolders
        Where the sealed files are kept.

    Raises
    ------
    DiademError
        The copy cannot be read, or is damaged; nothing was kept.
    """
    opened = open_tag_files(bundle)
    files = _sealed_files(bundle, opened)
    location = Location.of(opened.id, path, root, opened.manifest.payload, {})
    tree = tree_digest((entry.path.removeprefix("data/"), entry.size) for entry in opened.manifest.payload)
    stage = folders.stage()
    try:
        with translated(folders.url):
            for name, data in files.items():
                stage.write(name, data)
            stage.seal(list(files))
        folders.publish(stage, location, opened.payload_id, tree)
    except BaseException:
        stage.discard()
        raise
    return location


def root_of(plan: PackPlan) -> str:
    """The folder to which the names of a plan are relative.

    Raises
    ------
    UsageError
        There is no such folder: several sources were given, or a link.
    """
    roots = set()
    for file in plan.tree.files:
        path = Path(file.path)
        depth = file.name.count(b"/")
        roots.add(str(path.parents[depth]))
        if os.fsencode(path.relative_to(path.parents[depth]).as_posix()) != file.name:
            raise UsageError("a link cannot be adopted", where=file.path, next="Name the folder that it points to.")
    if len(roots) != 1:
        raise UsageError("only one folder can be adopted at a time", next="Adopt them one by one.")
    return roots.pop()


@dataclass(frozen=True, slots=True)
class _Adopting:
    plan: PackPlan
    root: str
    folders: AdoptedFolders
    options: Options
    copier: Copier
    listener: Listener

    # -- what is known -------------------------------------------------------------------------------------------

    def recognised(self, known: Sequence[tuple[Finder, str]]) -> Adoption | None:
        """The folder as a replica of a package that is there already; None where there is none."""
        tree = self.plan.tree_digest
        if not self.folders.knows_tree(tree) and not any(finder.knows_tree(tree) for finder, _ in known):
            return None
        payload, omissions = hash_only(self.plan, self.copier, self.listener)
        refuse_if_strict(omissions, self.options)
        for package in self.folders.find_payload(payload):
            if adoption := self._again(package, omissions):
                return adoption
        for finder, root in known:
            for bundle in finder.bundles(payload):
                if adoption := self._of_store(bundle, root, omissions):
                    return adoption
        return None

    def _again(self, package: PackageId, omissions: Sequence[Omission]) -> Adoption | None:
        """This payload is adopted: from here, from a folder that has gone, or from one that is still there."""
        try:
            before = self.folders.location(package)
            opened = open_tag_files(self.folders.bundle(package), expected_id=package)
        except DiademError:
            return None  # what is kept of it is damaged: it is sealed anew
        same = os.path.normcase(before.root) == os.path.normcase(self.root)
        if not same and _still_there(self.folders.bundle(package), opened):
            raise Refused(
                "the same files are already adopted from another folder, which is still there",
                where=before.root,
                next="Adopt one of the two; the policy makes the copies in stores.",
            )
        location = self._location(opened, before.path)
        self.folders.relocate(location)
        return self._adoption(location, omissions, created=not same)

    def _of_store(self, bundle: Bundle, store: str, omissions: Sequence[Omission]) -> Adoption | None:
        """Another replica of a package that lies in a store: its sealed files, proven while they are copied."""
        try:
            opened = open_tag_files(bundle)
            files = _sealed_files(bundle, opened)
        except DiademError:
            return None
        stage = self.folders.stage()
        try:
            with translated(self.folders.url):
                for path, data in files.items():
                    stage.write(path, data)
                stage.seal(list(files))
            return self._publish(stage, opened, path_within(store, bundle.url), omissions)
        except BaseException:
            stage.discard()
            raise

    # -- what is new ---------------------------------------------------------------------------------------------

    def sealed(self, extractor: Extractor) -> Adoption:
        """Hash the folder in one pass, read it, describe it, seal it."""
        stage = self.folders.stage()
        try:
            return self._fill(stage, extractor)
        except BaseException:
            stage.discard()
            raise

    def _fill(self, stage: Stage, extractor: Extractor) -> Adoption:
        with translated(self.folders.url):
            record = stage.target(RECORD_PATH)
        with tempfile.TemporaryDirectory(prefix="diadem-") as scratch:
            composition = compose(
                self.plan,
                place=lambda _: None,
                root=Mirror(self.plan, Path(scratch)),
                record=record,
                extractor=extractor,
                options=self.options,
                copier=self.copier,
                listener=self.listener,
            )
        sealed = composition.sealed
        with translated(self.folders.url):
            for path, data in (*composition.derived.items(), *sealed.tag_files.items()):
                stage.write(path, data)
            stage.seal([RECORD_PATH, *composition.derived, *sealed.tag_files])
        opened = open_tag_files(
            LocalBundle(stage.bag), expected_id=sealed.package_id
        )  # what cannot be opened is not kept
        adoption = self._publish(stage, opened, composition.name, (), proven=True)
        outcome = replace(
            adoption.outcome,
            omissions=composition.omissions,
            issues=composition.issues,
            flagged=composition.flagged,
        )
        return replace(adoption, outcome=outcome)

    def _location(self, opened: TagFiles, path: str) -> Location:
        names = {"data/" + stored: file.name for stored, file in self.plan.files.items()}
        return Location.of(opened.id, path, self.root, opened.manifest.payload, names)

    def _publish(
        self, stage: Stage, opened: TagFiles, path: str, omissions: Sequence[Omission], *, proven: bool = False
    ) -> Adoption:
        location = self._location(opened, path)
        self.folders.publish(stage, location, opened.payload_id, self.plan.tree_digest)
        return self._adoption(location, omissions, created=True, proven=proven)

    def _adoption(
        self, location: Location, omissions: Sequence[Omission], *, created: bool, proven: bool = False
    ) -> Adoption:
        package = Package(self.folders.bundle(location.package), proven=proven)
        left_out = [omitted_dict(omission) for omission in omissions]
        return Adoption(Outcome(package, created, left_out, proof="read-back"), location)


def _still_there(bundle: AdoptedBundle, opened: TagFiles) -> bool:
    """Whether every file of an adopted package is in its folder, in its size."""
    found = bundle.listing().files
    return all(found.get(entry.path) == entry.size for entry in opened.manifest.payload)


def _sealed_files(bundle: Bundle, opened: TagFiles) -> dict[str, bytes]:
    """Tag files and derived files of a package, each proven. Raises `DiademError`."""
    tagmanifest = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    names = [name for _, name in parse_manifest(tagmanifest, TAGMANIFEST)]
    if strange := [name for name in names if name not in LIMITS]:
        raise PackageError("this version does not know this tag file", where=strange[0])
    files = {name: read_tag_file(bundle, name, opened.id) for name in names}
    for path in (RECORD_PATH, CRATE_PATH, PAGE_PATH):
        if path in opened.manifest:
            files[path] = bundle.read(path, _DERIVED_LIMIT)
            if sha256_hex(files[path]) != opened.manifest[path].sha256:
                raise IntegrityError("is not what was archived", where=path)
    return {**files, TAGMANIFEST: tagmanifest}
