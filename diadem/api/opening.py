"""`open` and `verify`: a package that exists."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from diadem.api.places import StrPath, bundle_at, local_path
from diadem.api.tools import tools
from diadem.errors import DiademError, NotFound, Unreachable
from diadem.model.ports import Bundle, Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.report import Level, Report

if TYPE_CHECKING:
    from diadem.archive.package import Package


def open(url: StrPath, *, storage_options: Mapping[str, Any] | None = None) -> Package:  # noqa: A001
    """Open a package.

    Parameters
    ----------
    url : path or URL
        The folder that holds `bagit.txt`.
    storage_options : mapping, optional
        For fsspec, when it is a URL.

    Raises
    ------
    NotFound
        If nothing is there.
    PackageError
        If it is not a DIADEM package (`verify` reads any BagIt bag).
    IntegrityError
        If its tag files do not agree with each other.
    """
    from diadem.archive.package import Package

    bundle, at_hand = bundle_at(url, storage_options), tools()
    package = Package(bundle, readers=tuple(at_hand.readers), extractor=at_hand.extractor)
    return addressed(package, (bundle,))


def addressed(package: Package, copies: Iterable[Bundle], node: Callable[[], Any] | None = None) -> Package:
    """The package, which other processes find again: in one of its copies, or as its node gives it."""
    bare = partial(open_again, package.id, copies)
    return package.replaced(bare=bare, again=bare if node is None else partial(open_again, package.id, copies, node))


def open_again(package_id: str, copies: Iterable[Bundle], node: Callable[[], Any] | None = None) -> Package:
    """A package that another process had opened: as its node gives it, else from a copy that can be reached here.

    Raises
    ------
    NotFound, Unreachable, StoreError
        No copy of it can be read from here: why the last cannot.
    IntegrityError
        Another package, or a damaged one, is there now.
    """
    from diadem.archive.package import Package
    from diadem.package.examine import open_tag_files

    problems: list[DiademError] = []
    at_hand = tools()
    if node is not None:
        try:
            opened: Package = node().get(package_id)
        except DiademError as error:
            problems.append(error)
        else:
            return opened
    for bundle in copies:
        try:
            manifest = open_tag_files(bundle, expected_id=package_id)
        except DiademError as error:
            problems.append(error)
            continue
        package = Package(bundle, opened=manifest, readers=tuple(at_hand.readers), extractor=at_hand.extractor)
        return addressed(package, copies)
    raise problems[-1] if problems else Unreachable("no copy of it can be read from here", where=package_id)


def sealed_at(path: StrPath) -> Package | None:
    """The one package that a path of this machine means: its folder, or a ZIP of it; None for anything else."""
    from diadem.export.zip_bag import packages_in

    place = local_path(path)
    found = packages_in(place) if place is not None else []
    return open(place if place.is_file() else found[0].url) if place is not None and len(found) == 1 else None


def verify(
    package: Package | StrPath,
    *,
    level: Level | str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    listener: Listener = progress_bar,
) -> Report:
    """Prove a package, or any BagIt bag from anyone.

    Parameters
    ----------
    package : Package, path or URL
        What to prove. A foreign bag is untrusted input: nothing outside its folder is touched, nothing is fetched.
    level : {"quick", "leaves", "full"}, optional
        `quick` proves structure, sizes and tag files; `leaves` every leaf (1 MiB) by BLAKE3; `full` also the SHA-256 of
        every file. Default: `leaves` where this process has already proven leaves and manifest consistent, else `full`.
    storage_options : mapping, optional
        For fsspec, when it is a URL.
    workers : int, optional
        Threads; default all cores, also within one file.
    listener : callable
        Told of progress.

    Returns
    -------
    Report
        What was proven and what was found. Damage is a finding, not an exception.

    Raises
    ------
    NotFound
        If nothing is there.
    """
    from diadem.archive.package import Package, default_level
    from diadem.package.verify import verify as verify_bundle

    if isinstance(package, Package):
        return package.verify(level=level, workers=workers, listener=listener)
    chosen = Level(level) if level is not None else None
    bundle = bundle_at(package, storage_options)
    _require_bag(package, bundle)
    return verify_bundle(bundle, level=chosen or default_level(bundle), workers=workers, listener=listener)


def _require_bag(url: StrPath, bundle: Bundle) -> None:
    """Tell a folder that never was a bag from one that is damaged."""
    names = [name for name in bundle.listing().files if "/" not in name]
    if any(name == "bagit.txt" or name.split("-")[0] in ("manifest", "tagmanifest") for name in names):
        return
    folder = local_path(url)
    advice = "Name the folder that holds bagit.txt."
    if folder is not None and (folder / ".diadem").is_dir():
        first = next(
            (path.parent.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*/bagit.txt"))), "none"
        )
        advice = f"This is a store: name a package in it, such as {first}."
    elif folder is not None and (folder.absolute().parent / "bagit.txt").exists():
        advice = "This is a folder of a package: name the folder above it."
    raise NotFound("this is not a bag: it has neither bagit.txt nor a manifest", where=os.fspath(url), next=advice)
