"""Composition root: the verbs. The only place that asks the plugin manager, and hands plain values down."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from diadem import __version__
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Level, Report

if TYPE_CHECKING:
    from diadem.archive.many import Standing
    from diadem.archive.package import Package
    from diadem.archive.plan import PackPlan
    from diadem.archive.scan import Scan
    from diadem.extract.pool import Extractor
    from diadem.hooks.inventory import PluginSummary
    from diadem.hooks.manager import Offers
    from diadem.model.record import Record
    from diadem.model.scan import PlannedSession

SOFTWARE = f"diadem-em {__version__}"
StrPath = str | os.PathLike[str]


#: What the plugins offer while `trying` lasts.
_TRIED: ContextVar[Offers | None] = ContextVar("_TRIED", default=None)


def _offers() -> Offers:
    return _TRIED.get() or _collected()


@lru_cache(maxsize=1)
def _collected() -> Offers:
    from diadem.hooks.manager import collect

    return collect()


@contextmanager
def trying(*modules: str) -> Iterator[Offers]:
    """Look for plugins anew, and load some that are not installed as if they were, for as long as the block lasts.

    Parameters
    ----------
    modules : str
        Importable modules with `@hookimpl` functions.

    Yields
    ------
    Offers
        What all plugins offer, and which failed.
    """
    from diadem.hooks.manager import collect

    offers = collect(modules)
    token = _TRIED.set(offers)
    try:
        yield offers
    finally:
        _TRIED.reset(token)


def plugins() -> list[PluginSummary]:
    """Every plugin: where it comes from, what it offers, and what failed.

    Returns
    -------
    list of PluginSummary
        The bundled ones first. Foreign ones are those that `DIADEM_PLUGINS` admits.
    """
    from diadem.hooks.inventory import summaries
    from diadem.serialization.extensions import ExtensionSchemas

    offers = _offers()
    return summaries(offers, ExtensionSchemas(offers.schema_table).broken())


def _extractor(*, timeout: float = 60.0, previews: bool = True, vendor: bool = True) -> Extractor:
    from diadem.extract.pool import Extractor

    offers = _offers()
    return Extractor(
        offers.readers,
        offers.fields,
        previewers=offers.previews,
        checks=offers.checks,
        schemas=offers.schema_table,
        origins=offers.foreign,
        workers=max(1, min(4, os.cpu_count() or 1)),
        timeout=timeout,
        previews=previews,
        vendor=vendor,
        # On Windows a file that a worker has open cannot be moved; and who writes a plugin wants its latest lines.
        lasting=os.name != "nt" and not offers.foreign,
    )


def _judged(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The metadata, with each extension marked by what the schemas at hand say of it. Raises `DocumentError`."""
    if not metadata or not metadata.get("extensions"):
        return metadata
    from diadem.serialization.extensions import ExtensionSchemas, judged
    from diadem.serialization.record_json import validate_metadata

    said = validate_metadata(metadata)
    return {**said, "extensions": judged(said["extensions"], ExtensionSchemas(_offers().schema_table))}


def pack(
    source: StrPath | Sequence[StrPath],
    store: StrPath,
    *,
    metadata: Mapping[str, Any] | None = None,
    strict: bool = False,
    license: str = "",  # noqa: A002
    storage_options: Mapping[str, Any] | None = None,
    listener: Listener = silent,
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
        With `strict`; or where the store cannot be written.
    Unreachable
        If an object store does not answer.
    Interrupted
        On Ctrl-C; nothing is visible in the store.
    """
    from diadem.archive.composing import Options
    from diadem.archive.packing import pack_local
    from diadem.store.local_store import LocalStore

    options = Options(strict=strict, license=license, software=SOFTWARE)
    folder = _local_path(store)
    planned = plan(source, store=folder, metadata=metadata)
    with _extractor() as extractor:
        if any(dataset.offers for dataset in planned.datasets):
            extractor.warm()
        if folder is not None:
            outcome = pack_local(planned, LocalStore(folder), extractor=extractor, options=options, listener=listener)
        else:
            from diadem.archive.packing_remote import pack_object

            outcome = pack_object(
                planned,
                os.fspath(store),
                storage_options=storage_options,
                extractor=extractor,
                options=options,
                listener=listener,
            )
    package = outcome.package
    package.outcome = outcome
    package.readers, package.extractor = tuple(_offers().readers), _extractor
    return package


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
    from diadem.archive.plan import make_plan

    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    return make_plan(
        [Path(item) for item in sources],
        store=None if store is None else _local_path(store),
        metadata=_judged(metadata),
        readers=_offers().readers,
    )


def _local_path(url: StrPath) -> Path | None:
    """The folder that a path or file:// address means; None for an object store."""
    from diadem.store.urls import parse

    parsed = parse(os.fspath(url))
    return Path(parsed.path) if parsed.kind == "local" else None


def check_metadata(metadata: object) -> None:
    """Raise `DocumentError` where session, sample, people, instrument or an extension break their schema."""
    from diadem.serialization.record_json import validate_metadata

    _judged(validate_metadata({} if metadata is None else metadata))


def readable_files(folder: Path) -> list[str]:
    """Names of the files directly in a folder that some reader would take for its own, by their suffix."""
    suffixes = tuple(suffix for offer in _offers().readers for suffix in offer.suffixes)
    return sorted(entry.name for entry in folder.iterdir() if entry.name.lower().endswith(suffixes))


def _bundle(url: StrPath, storage_options: Mapping[str, Any] | None) -> Bundle:
    from diadem.store.bundle import LocalBundle

    folder = _local_path(url)
    if folder is None:
        from diadem.store.remote import open_remote

        return open_remote(os.fspath(url), storage_options)
    if not folder.is_dir():
        what = "this is a file, not a package folder" if folder.exists() else "there is no package here"
        raise NotFound(what, where=str(folder), next="Name the folder that holds bagit.txt.")
    return LocalBundle(folder)


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

    return Package(_bundle(url, storage_options), readers=tuple(_offers().readers), extractor=_extractor)


def verify(
    package: Package | StrPath,
    *,
    level: Level | str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    listener: Listener = silent,
) -> Report:
    """Prove a package, or any BagIt bag from anyone.

    Parameters
    ----------
    package : Package, path or URL
        What to prove. A foreign bag is untrusted input: nothing outside its folder is touched, nothing is fetched.
    level : {"quick", "leaves", "full"}, optional
        `quick` proves structure, sizes and tag files; `leaves` every mebibyte by BLAKE3; `full` also the SHA-256 of
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
    try:
        chosen = Level(level) if level is not None else None
    except ValueError as error:
        raise UsageError(f"'{level}' is no level", next="Use quick, leaves or full.") from error
    bundle = _bundle(package, storage_options)
    _require_bag(package, bundle)
    return verify_bundle(bundle, level=chosen or default_level(bundle), workers=workers, listener=listener)


def _require_bag(url: StrPath, bundle: Bundle) -> None:
    """Tell a folder that never was a bag from one that is damaged."""
    names = [name for name in bundle.listing().files if "/" not in name]
    if any(name == "bagit.txt" or name.split("-")[0] in ("manifest", "tagmanifest") for name in names):
        return
    folder = _local_path(url)
    advice = "Name the folder that holds bagit.txt."
    if folder is not None and (folder / ".diadem").is_dir():
        first = next(
            (path.parent.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*/bagit.txt"))), "none"
        )
        advice = f"This is a store: name a package in it, such as {first}."
    elif folder is not None and (folder.absolute().parent / "bagit.txt").exists():
        advice = "This is a folder of a package: name the folder above it."
    raise NotFound("this is no bag: it has neither bagit.txt nor a manifest", where=os.fspath(url), next=advice)


def extract(path: StrPath, *, listener: Listener = silent) -> Record:
    """Read the extended metadata of a file or folder, each reader in a worker process.

    Parameters
    ----------
    path : path
        One instrument file (what belongs to its dataset is found beside it), or a folder.

    Returns
    -------
    Record
        One dataset for each group of files; a file that cannot be read is a dataset with issues.
    """
    with _extractor() as extractor:
        return _extracted(path, extractor, listener)


def _extracted(path: StrPath, extractor: Extractor, listener: Listener) -> Record:
    """See `extract`."""
    from diadem.archive.companions import with_companions
    from diadem.archive.describing import Describer
    from diadem.archive.ingest import Ingest
    from diadem.archive.vault import Vault
    from diadem.serialization.record_json import read_record
    from diadem.store.copying import Copier

    root = Path(path).absolute()  # the worker has a current folder of its own
    planned = plan(with_companions(root, _offers().readers) if root.is_file() else path)
    wanted = [found for found in planned.datasets if planned.files[found.primary.path].name == os.fsencode(root.name)]
    sink = io.BytesIO()
    describer = Describer(sink, planned.metadata, title=planned.tree.title)
    with Copier() as copier:
        ingest = Ingest(
            planned.files,
            place=lambda _: None,
            root=lambda _: root if root.is_dir() else root.parent,
            extractor=extractor,
            listener=listener,
        )
        chosen = [replace(found, id="d1") for found in wanted[:1]] if root.is_file() else planned.datasets
        with closing(ingest.run(chosen, copier)) as datasets:
            for ingested in datasets:
                describer.add(ingested)
    describer.finish(omissions=[], empty_folders=[])
    return read_record(sink.getvalue(), Vault(describer.vendor.close()))


@overload
def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["raise"] = "raise"
) -> Iterator[Record]: ...


@overload
def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["give"]
) -> Iterator[Record | DiademError]: ...


def extract_many(
    paths: Iterable[StrPath], *, executor: Executor | None = None, errors: Literal["raise", "give"] = "raise"
) -> Iterator[Record] | Iterator[Record | DiademError]:
    """Read many files or folders; the records come in the order of the paths.

    Reading runs ahead of the caller by some hundred paths, and the workers are started once, not for each path.

    Parameters
    ----------
    paths : iterable of paths
        As for `extract`; taken little by little.
    executor : concurrent.futures.Executor, optional
        Where to read: a process pool, a Dask cluster (`distributed.Client.get_executor()`) … The paths must mean the
        same there. By default in this process, on all cores.
    errors : {"raise", "give"}
        What becomes of a path that is not there or holds no file. With ``raise`` its error is raised when its turn
        comes; the others are read nevertheless, and `next` goes on with them. With ``give`` the error stands in the
        place of its record. A file that cannot be read is no error but a dataset with issues, as in `extract`.

    Returns
    -------
    iterator of Record
        One for each path. Its `close` cancels what has not begun.
    """
    from diadem.archive.many import InOrder, Standing

    if errors not in ("raise", "give"):
        raise UsageError(f"errors is 'raise' or 'give', not '{errors}'")
    places = (os.path.abspath(path) for path in paths)  # noqa: PTH100 - as the caller sees it, links left as they are
    if executor is not None:
        return InOrder(executor, _extract_there, places, give_errors=errors == "give")
    standing, threads = Standing(_extractor, idle=0), ThreadPoolExecutor(os.cpu_count() or 1, "diadem-extract")
    context = copy_context()

    def extract_here(path: str) -> Record:
        with standing.lend() as extractor:
            return context.copy().run(_extracted, path, extractor, silent)

    def end() -> None:
        threads.shutdown(wait=False, cancel_futures=True)
        standing.close()

    return InOrder(threads, extract_here, places, give_errors=errors == "give", at_end=end)


def _extract_there(path: str) -> Record:
    """Read one path in another process, or thread, whose workers stay for the next path."""
    with _standing().lend() as extractor:
        return _extracted(path, extractor, silent)


@lru_cache(maxsize=1)
def _standing() -> Standing:
    import atexit

    from diadem.archive.many import Standing

    standing = Standing(_extractor)
    atexit.register(standing.close)
    return standing


#: Seconds that one dataset may take in a scan: thousands are waiting behind it.
_SCAN_SECONDS = 20.0


def scan(*folders: StrPath, cache: bool = True, listener: Listener = silent) -> Scan:
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
    from functools import partial

    from diadem.archive.scan_cache import cache_folder
    from diadem.archive.scanning import Tools, scan_folders

    tools = Tools(
        readers=_offers().readers,
        extractor=partial(_extractor, timeout=_SCAN_SECONDS, previews=False, vendor=False),
        software=_software(),
        cache=cache_folder() if cache else None,
    )
    return scan_folders(folders, tools, listener)


def _software() -> str:
    """Names and versions of all that reads a file: what a scan keeps holds for these only."""
    from importlib.metadata import version

    offers = _offers()
    plugins_ = sorted({f"{plugin.name} {plugin.version}" for plugin in offers.plugins})
    named = sorted({f"{offer.name} {offer.load}" for offer in offers.readers})
    return "\n".join([SOFTWARE, f"rosettasciio {version('rosettasciio')}", f"{_SCAN_SECONDS}", *plugins_, *named])


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
    from diadem.archive.scan_plan import read_plan as read

    return read(path)
