"""Adopting a folder where it lies: read and sealed like any other, but not copied, and never written.

The folder is a replica of its package. Where the package is known already, from a store or from a folder that has gone,
its own sealed files are taken, so that one payload stays one package.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from diadem.errors import DiademError, IntegrityError, PackageError, Refused, UsageError
from diadem.extract.pool import Extractor
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, TAGMANIFEST, PackageId
from diadem.model.ports import Bundle, Listener
from diadem.model.system_paths import path_within
from diadem.pack.compose import Options, compose, hash_only, refuse_if_strict
from diadem.pack.pack import Outcome, packing_errors
from diadem.pack.plan import PackPlan
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, read_tag_file
from diadem.package.tags import Sealed, parse_manifest
from diadem.store.adopted import AdoptedFolders, Location
from diadem.store.bags import AdoptedBundle, LocalBundle
from diadem.store.contract import Added, Draft, Store
from diadem.store.copy import Copier
from diadem.store.stage import Stage
from diadem.store.system import or_else, translated
from diadem.trust.hashing import sha256_hex, tree_digest

#: Bytes of a derived file above which it is not copied: records of a million images.
_DERIVED_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting did: where the files are, what the tag files say, and whether the files were hashed now.

    `location.path` is what the package is called in a store; `outcome.created` is False where this very folder was
    adopted before.
    """

    location: Location
    opened: TagFiles
    outcome: Outcome
    proven: bool = False


def adopt(
    plan: PackPlan,
    folders: AdoptedFolders,
    *,
    extractor: Extractor,
    options: Options,
    listener: Listener,
    known: Sequence[Store] = (),
) -> Adoption:
    """Adopt the folder that a plan was made of; packages in the `known` stores are recognised.

    Raises `UsageError` for a plan of several folders; `Refused` with `strict`, where anything would be left out, or
    where the same files are adopted from another folder that is still there; `Interrupted` on Ctrl-C: nothing was kept.
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
    """Keep again what a node kept of a folder that it adopted, from a copy of the package at a path in a store.

    Nothing in the folder, `root`, is read, and nothing of it is proven by this. Raises `DiademError` where the copy
    cannot be read, or is damaged; nothing was kept.
    """
    opened = open_tag_files(bundle)
    location = Location.of(opened.id, path, root, opened.manifest.payload, {})
    tree = tree_digest((entry.path.removeprefix("data/"), entry.size) for entry in opened.manifest.payload)
    with _SealedFiles(folders, lambda *_: location) as draft:
        draft.add(_sealed_files(bundle, opened))
        draft.publish(path, tree=tree)
    return location


def root_of(plan: PackPlan) -> str:
    """The folder to which the names of a plan are relative. Raises `UsageError` for several sources, or a link."""
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

    def recognised(self, known: Sequence[Store]) -> Adoption | None:
        """The folder as a replica of a package that is there already; None where there is none."""
        tree = self.plan.tree_digest
        if not self.folders.knows_tree(tree) and not any(store.knows_tree(tree) for store in known):
            return None
        payload, omissions = hash_only(self.plan, options=self.options, copier=self.copier, listener=self.listener)
        for package in self.folders.find_payload(payload):
            if adoption := self._again(package, omissions):
                return adoption
        for store in known:
            for bundle in store.bundles(payload):
                if adoption := self._of_store(bundle, store.url, omissions):
                    return adoption
        return None

    def _again(self, package: PackageId, omissions: Sequence[Mapping[str, str]]) -> Adoption | None:
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
        return Adoption(location, opened, Outcome(not same, omissions, proof="read-back"))

    def _of_store(self, bundle: Bundle, store: str, omissions: Sequence[Mapping[str, str]]) -> Adoption | None:
        """Another replica of a package that lies in a store: its sealed files, proven while they are copied."""
        try:
            opened = open_tag_files(bundle)
            files = _sealed_files(bundle, opened)
        except DiademError:
            return None
        path = path_within(store, bundle.url)
        with _SealedFiles(self.folders, self._location) as draft:
            draft.add(files)
            draft.publish(path, tree=self.plan.tree_digest)
        return Adoption(self._location(opened, path), opened, Outcome(True, omissions, proof="read-back"))

    # -- what is new ---------------------------------------------------------------------------------------------

    def sealed(self, extractor: Extractor) -> Adoption:
        """Hash the folder in one pass, read it, describe it, seal it."""
        with _SealedFiles(self.folders, self._location) as draft:
            composed = compose(
                self.plan,
                draft,
                extractor=extractor,
                options=self.options,
                copier=self.copier,
                listener=self.listener,
            )
            opened = draft.publish(composed.name, tree=self.plan.tree_digest).opened
        assert opened is not None
        outcome = Outcome(True, composed.omissions, composed.issues, composed.flagged, proof="read-back")
        return Adoption(self._location(opened, composed.name), opened, outcome, proven=True)

    def _location(self, opened: TagFiles, path: str) -> Location:
        names = {"data/" + stored: file.name for stored, file in self.plan.files.items()}
        return Location.of(opened.id, path, self.root, opened.manifest.payload, names)


class _SealedFiles(Draft):
    """A draft of what is kept of an adopted folder, whose payload stays where it is; `locate` says where that is."""

    payload = None

    def __init__(self, folders: AdoptedFolders, locate: Callable[[TagFiles, str], Location]) -> None:
        self._folders = folders
        self._locate = locate
        self._stage: Stage | None = None
        self._files: list[str] = []
        self._package: PackageId | None = None

    def __enter__(self) -> Self:
        """Open a stage in the node's folder."""
        self._scratch = tempfile.TemporaryDirectory(prefix="diadem-")
        with or_else(self._scratch.cleanup):
            self._stage = self._folders.stage()
        return self

    def discard(self) -> None:
        """Remove what was not published."""
        try:
            if self._stage is not None:
                self._stage.discard()
        finally:
            self._scratch.cleanup()

    def begin(self, size: int) -> None:
        """Nothing: the payload needs no room."""

    @property
    def scratch(self) -> Path:
        """In the system's folder for temporary files."""
        return Path(self._scratch.name)

    def place(self, path: str) -> None:
        """It stays in its folder."""

    def target(self, path: str) -> str:
        """In the stage."""
        self._files.append(path)
        with translated(self._folders.url):
            return self._open.target(path)

    def write(self, path: str, data: bytes) -> None:
        """Into the stage."""
        self._files.append(path)
        with translated(self._folders.url):
            self._open.write(path, data)

    def seal(self, sealed: Sealed) -> None:
        """Everything to the disk."""
        self._package = sealed.package_id
        self.add(sealed.tag_files)

    def add(self, files: Mapping[str, bytes]) -> None:
        """The same, of a package that is sealed."""
        for path, data in files.items():
            self.write(path, data)
        with translated(self._folders.url):
            self._open.seal(self._files)

    def publish(self, name: str, *, tree: str, **_: object) -> Added:
        """Keep it, with the place of its files. What cannot be opened is not kept."""
        opened = open_tag_files(LocalBundle(self._open.bag), expected_id=self._package)
        self._folders.publish(self._open, self._locate(opened, name), opened.payload_id, tree)
        self._stage = None  # `publish` has discarded it
        return Added(name, created=True, proof="read-back", opened=opened)

    @property
    def _open(self) -> Stage:
        assert self._stage is not None, "the draft has not begun"
        return self._stage


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
