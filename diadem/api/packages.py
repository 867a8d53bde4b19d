"""Packages: `plan`, `pack` and `scan` of what is to become some; `open` and `verify` of those that exist."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.api.tools import SOFTWARE, Tools, tools
from diadem.errors import DiademError, NotFound, Unreachable
from diadem.model.plain_text import quoted
from diadem.model.ports import Bundle, Listener, Listing
from diadem.model.progress_bar import progress_bar
from diadem.model.report import Level, Report

if TYPE_CHECKING:
    from diadem.archive.export import Enclosure
    from diadem.archive.package import Package
    from diadem.hooks.manager import Offers
    from diadem.model.scan import PlannedSession
    from diadem.pack.plan import PackPlan
    from diadem.package.examine import TagFiles
    from diadem.scan.scan import Scan

StrPath = str | os.PathLike[str]
#: What may be meant as the beginning of an id; one that a node takes.
_SHORT_ID = re.compile(r"[0-9a-f]{1,7}(?:…|\.\.\.)?\Z")
ID = re.compile(r"(?:diadem:)?[0-9a-f]{8,64}\Z")
#: Seconds that one dataset may take in a scan: thousands are waiting behind it.
SCAN_SECONDS = 20.0


def pack(
    source: StrPath | Sequence[StrPath],
    store: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    strict: bool = False,
    license: str = "",  # noqa: A002
    storage_options: Mapping[str, Any] | None = None,
    listener: Listener = progress_bar,
) -> Package:
    """Archive a folder as one verified package, without a node.

    Parameters
    ----------
    source : path or sequence of paths
        A session folder, a file, or several of them. Never changed.
    store : path or URL
        A folder, or ``s3://bucket/prefix``. Made if it is not there.
    metadata : mapping, optional
        ``session``, ``sample``, ``people`` and ``instrument``; see `schemas/record/1.0.0/metadata.schema.json`.
    strict : bool
        Refuse, and write nothing, where anything cannot be archived (a link, an unreadable file).
    license : str
        What may be done with the data; the crate says "ask the owner" without it.
    storage_options : mapping, optional
        For fsspec, when the store is a URL.
    listener : callable
        Told of progress as `diadem.model.ports.Progress`.

    Returns
    -------
    Package
        The package in the store; `package.outcome` says whether it is new, and what was left out.

    Raises
    ------
    UsageError, DocumentError
        If there is nothing to archive, or the metadata breaks its schema.
    NotFound
        If the source does not exist.
    Refused, StoreError
        With `strict`; or where the store cannot be written to.
    Unreachable
        If an object store does not answer.
    Interrupted
        On Ctrl-C; nothing is visible in the store.
    """
    from diadem.pack.compose import Options
    from diadem.pack.pack import pack as pack_plan
    from diadem.store import open_store
    from diadem.store.addresses import refuse_copy_address

    refuse_copy_address(os.fspath(store))
    at_hand = tools()
    options = Options(strict=strict, license=license, software=at_hand.software)
    planned = planned_with(at_hand, source, store=store, metadata=metadata)
    place = open_store(store, storage_options)
    with at_hand.extractor() as extractor:
        if readable := sum(bool(dataset.offers) for dataset in planned.datasets):
            extractor.warm(readable)
        packed = pack_plan(planned, place, extractor=extractor, options=options, listener=listener)
    bundle, outcome = place.bundle(packed.path), packed.outcome
    return _package(bundle, opened=packed.opened, proven=outcome.proven, outcome=outcome)


# -- what would be archived --------------------------------------------------------------------------------------------


def plan(
    source: StrPath | Sequence[StrPath], *, store: StrPath | None = None, metadata: Mapping[str, Any] | None = None
) -> PackPlan:
    """What `pack` would archive, map and leave out; nothing is written.

    Parameters
    ----------
    source : path or sequence of paths
        As for `pack`.
    store : path or URL, optional
        To see that it does not lie inside the source.
    metadata : mapping, optional
        As for `pack`; validated.
    """
    return planned_with(tools(), source, store=store, metadata=metadata)


def planned_with(
    at_hand: Tools,
    source: StrPath | Sequence[StrPath],
    *,
    store: StrPath | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> PackPlan:
    """See `plan`; with these plugins."""
    from diadem.pack.plan import make_plan

    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    return make_plan(
        [Path(item) for item in sources],
        store=None if store is None else local_path(store),
        metadata=at_hand.judged(metadata),
        readers=at_hand.readers,
    )


def check_metadata(metadata: object) -> None:
    """Raise `DocumentError` where session, sample, people, instrument or an extension break their schema."""
    from diadem.serialization.validation import validate_metadata

    tools().judged(validate_metadata({} if metadata is None else metadata))


def readable_files(folder: Path) -> list[str]:
    """Names of the files directly in a folder that some reader would take for its own, by their suffix."""
    suffixes = tuple(suffix for offer in tools().readers for suffix in offer.suffixes)
    return sorted(entry.name for entry in folder.iterdir() if entry.name.lower().endswith(suffixes))


def metadata_from_pairs(pairs: Iterable[str], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata as ``sample.name=S-12`` on a command line says them, over what a file said.

    Raises `UsageError` where a pair cannot be understood, `DocumentError` where its value breaks the schema.
    """
    from diadem.serialization.metadata_pairs import metadata_from_pairs as read

    return read(pairs, base)


# -- packages that exist ----------------------------------------------------------------------------------------------


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
    from diadem.store.addresses import file_around

    bundle, place = bundle_at(url, storage_options), local_path(url)
    if place is None:
        return _package(bundle)
    return _package(bundle, beside=partial(_beside, file_around(place) or place))


def _beside(path: Path, package: Package) -> Enclosure:
    from diadem.node.take.enclosed import enclosure_of

    return enclosure_of(path, package)


def _package(bundle: Bundle, copies: Iterable[Bundle] = (), *, opened: TagFiles | None = None, **known: Any) -> Package:
    """The package of a bundle, with the plugins of now, and what is known of it; other processes find it in a copy."""
    from diadem.archive.package import Package
    from diadem.hooks.offers import ExporterOffer
    from diadem.package.examine import open_tag_files

    at_hand, opened = tools(), opened or open_tag_files(bundle)
    bare = partial(open_again, opened.id, copies or (bundle,))
    return Package(
        bundle,
        opened=opened,
        readers=at_hand.readers,
        extractor=at_hand.extractor,
        exporters=at_hand.offers.of(ExporterOffer),
        bare=bare,
        again=bare,
        **known,
    )


def addressed(package: Package, copies: Iterable[Bundle], node: Callable[[], Any]) -> Package:
    """The package of a node, which other processes find again as their node gives it, or in one of its copies."""
    bare = partial(open_again, package.id, copies)
    return package.replaced(bare=bare, again=partial(open_again, package.id, copies, node))


def open_again(package_id: str, copies: Iterable[Bundle], node: Callable[[], Any] | None = None) -> Package:
    """A package that another process had opened: as its node gives it, else from a copy that can be reached here.

    Raises why the last copy cannot be read; `IntegrityError` where another package, or a damaged one, is there now.
    """
    from diadem.package.examine import open_tag_files

    problems: list[DiademError] = []
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
        return _package(bundle, copies, opened=manifest)
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
    from diadem.archive.package import Package
    from diadem.package.verify import verify as verify_bundle

    if isinstance(package, Package):
        return package.verify(level=level, workers=workers, listener=listener)
    chosen = Level(level) if level is not None else None
    bundle = bundle_at(package, storage_options)
    listing = bundle.listing()
    _require_bag(package, listing)
    return verify_bundle(bundle, level=chosen, listing=listing, workers=workers, listener=listener)


def _require_bag(url: StrPath, listing: Listing) -> None:
    """Tell a folder that never was a bag from one that is damaged."""
    names = [name for name in listing.files if "/" not in name]
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


def local_path(url: StrPath) -> Path | None:
    """The folder that a path or file:// address means; None for an object store."""
    from diadem.store.addresses import parse

    parsed = parse(os.fspath(url))
    return Path(parsed.path) if parsed.kind == "local" else None


def bundle_at(url: StrPath, storage_options: Mapping[str, Any] | None) -> Bundle:
    """The files of a package in a folder, a ZIP, a TAR or an object store. Raises `NotFound`, `PackageError`.

    One of several in a ZIP is named as if it were a folder.
    """
    from diadem.store.addresses import file_around
    from diadem.store.bags import LocalBundle

    folder = local_path(url)
    if folder is None:
        from diadem.store.remote import open_remote

        return open_remote(os.fspath(url), storage_options)
    file = file_around(folder)
    if file is not None and file.suffix.lower() in (".zip", ".tar"):
        from diadem.export.zip_bag import bags_in_zip

        found, form = bags_in_zip(file), file.suffix[1:].upper()
        named = [one for one in found if file == folder or Path(one.url) == folder]
        if len(named) == 1:
            return named[0]
        what = f"the {form} holds {len(found)} packages" if found else f"there is no package in this {form}"
        if file != folder and found:
            what = f"the {form} holds no package of this name"
        advice = (
            f"Name one of them, such as {quoted(found[0].url)}"
            if found
            else ("If it holds files of a session, unpack it and archive the folder: diadem archive FOLDER")
        )
        raise NotFound(what, where=str(folder), next=advice)
    if not folder.is_dir():
        what = "this is a file, not a package folder" if folder.exists() else "there is no package here"
        advice = "Name the folder that holds bagit.txt"
        if _SHORT_ID.match(folder.name):
            advice += ", or a package of the node by eight digits of its id at least: see diadem search"
        elif ID.match(folder.name):
            advice = f"Ask the node for it: diadem show {folder.name}"
        raise NotFound(what, where=str(folder), next=f"{advice}.")
    return LocalBundle(folder)


# -- existing folders -------------------------------------------------------------------------------------------------


def scan(*folders: StrPath, cache: bool = True, listener: Listener = progress_bar) -> Scan:
    """Look at existing folders: what is there, what deserves attention, which sessions could be archived.

    Nothing is written in the folders. Metadata are read, no pixels; packages and stores that lie inside are counted
    and left alone.

    Parameters
    ----------
    *folders : path
        One or several. With several, `Scan.single_copies` tells what lies in one of them only.
    cache : bool
        Whether to use, and keep, what was read in the user's cache folder; a second scan then takes seconds.
    listener : Listener
        Told of progress.

    Returns
    -------
    Scan
        Tables of datasets, sessions, duplicates and issues. Damage is an issue, not an exception.

    Raises
    ------
    UsageError
        No folder is given, or a file.
    NotFound
        A folder does not exist.
    Interrupted
        On Ctrl-C; with the cache, the next scan goes on from there.
    """
    from diadem.scan.cache import cache_folder
    from diadem.scan.scan import scan_folders

    at_hand = tools()
    return scan_folders(
        folders,
        readers=at_hand.readers,
        extractor=partial(at_hand.extractor, timeout=SCAN_SECONDS, previews=False, vendor=False),
        software=all_that_reads(at_hand.offers),
        cache=cache_folder() if cache else None,
        listener=listener,
    )


def all_that_reads(offers: Offers) -> str:
    """Names and versions of all that reads a file: what a scan keeps holds for these only."""
    from importlib.metadata import version

    plugins = sorted({f"{plugin.name} {plugin.version}" for plugin in offers.plugins})
    readers = sorted({f"{offer.name} {offer.open or offer.load}" for offer in offers.readers})
    return "\n".join([SOFTWARE, f"rosettasciio {version('rosettasciio')}", f"{SCAN_SECONDS}", *plugins, *readers])


def read_plan(path: StrPath) -> list[PlannedSession]:
    """Read a plan of sessions that `Scan.save_plan` or `diadem scan --plan` has written and a person has edited.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.xlsx``.

    Raises
    ------
    NotFound
        There is no such file.
    DocumentError
        A cell cannot be understood; names row and column.
    """
    from diadem.scan.plan import read_plan as read

    return read(path)
