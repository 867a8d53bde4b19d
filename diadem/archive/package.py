"""`Package`: a verified archive as the user holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from diadem.archive.restore import Restored, restore
from diadem.archive.verified_file import VerifiedFile, read_proven
from diadem.errors import DiademError, DocumentError, NotFound, Refused
from diadem.model.display import Display, FixedRows, Previews, data_addresses, short_name
from diadem.model.manifest import DERIVED_PATHS, RECORD_PATH, VENDOR_PATH, FileEntry, Manifest, PackageId
from diadem.model.plain_text import count_text, size_text
from diadem.model.ports import Bundle, Listener, RangeReader
from diadem.model.progress_bar import progress_bar
from diadem.model.record import Dataset, Named, Record, path_of
from diadem.model.reopenable import Reopenable
from diadem.model.report import Level, Report
from diadem.package.examine import TagFiles, open_tag_files, read_tag_file
from diadem.package.verify import note_consistent, verify
from diadem.package.zips import Vault
from diadem.serialization.record_json import read_record, require_size
from diadem.store.bags import LocalBundle

if TYPE_CHECKING:
    from diadem.archive.export import Enclosure
    from diadem.archive.filesystem import PackageFileSystem
    from diadem.archive.overview import Overview
    from diadem.archive.picture import At, Picture
    from diadem.export.form import ExportedForm
    from diadem.extract.pool import Extractor
    from diadem.hooks.offers import ExporterOffer, ReaderOffer
    from diadem.model.differences import Reextraction
    from diadem.model.lineage import Caution
    from diadem.pack.pack import Outcome

#: Datasets that its card shows.
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Home:
    """The node that gives a package, and what it tells of it beyond what was sealed.

    `custody` and `warnings` tell the chain of custody, and warnings about its data, by the package's id; `amend` gives
    the sealed record with its owner's corrections; `damaged` notes what was found wrong with this copy, and gives the
    report with the step that mends it.
    """

    node: object
    custody: Callable[[str], Any]
    warnings: Callable[[str], Sequence[Caution]]
    amend: Callable[[Record], Record] | None = None
    damaged: Callable[[Bundle, Report], Report] | None = None


class Package(Reopenable, Display):
    """A sealed package: payload and record, with every byte provable.

    Made by `diadem.open` and `diadem.pack`. When it is sent to another process, that process opens it at the same
    address, and it must have the same id.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        opened: TagFiles | None = None,
        proven: bool = False,
        readers: Sequence[ReaderOffer] = (),
        extractor: Callable[[], Extractor] | None = None,
        exporters: Sequence[ExporterOffer] = (),
        outcome: Outcome | None = None,
        home: Home | None = None,
        beside: Callable[[Package], Enclosure] | None = None,
        bare: Callable[[], Package] | None = None,
        again: Callable[[], Package] | None = None,
    ) -> None:
        """Open the files of a bag.

        Its tag files are read and proven, if they were not just now (`opened`); `proven` says that this process has
        written and hashed all of it; `outcome` is that of packing it; `home` the node that gives it; `beside`
        reads what came with it where no node gives it; `bare` opens its bytes in another process, and `again` the
        package with what its node knows of it. Raises `IntegrityError` where the tag files do not agree,
        `PackageError` for other folders.
        """
        self._bundle = bundle
        self._opened = opened or open_tag_files(bundle)
        self.readers: Final = tuple(readers)
        self.extractor: Final = extractor
        self.exporters: Final = tuple(exporters)
        self.outcome: Final = outcome
        self.home: Final = home
        self.beside: Final = beside
        self.bare: Final = bare
        self.again = again
        if proven:
            note_consistent(self.id)

    def replaced(self, **known: Any) -> Self:
        """The same package, made with other arguments of `Package`: for who knows more of it."""
        names = ("readers", "extractor", "exporters", "outcome", "home", "beside", "bare", "again")
        same = {name: getattr(self, name) for name in names}
        return type(self)(self._bundle, **{"opened": self._opened, **same, **known})

    _internal = frozenset({
        "again", "bare", "beside", "bundle", "exporters", "extractor", "home", "open_stored", "outcome", "read_derived",
        "readers", "replaced", "stored", "stored_as",
    })  # fmt: skip

    def _display_document(self) -> Mapping[str, Any]:
        return {
            "id": self.id,
            "place": self.url,
            "datasets": self._datasets,
            "next": "package['…'].load()  .picture()  .local();  .record  .files  .verify()  .restore(folder)",
        }

    def _display_title(self) -> str:
        counts = count_text(len(self._datasets), "dataset"), count_text(len(self.files), "file")
        size = size_text(sum(entry.size for entry in self.files))
        return f"{self.url.rstrip('/').rpartition('/')[2]}: {', '.join(counts)}, {size}"

    def _display_pictures(self) -> Mapping[str, str]:
        try:
            found = self.previews()
        except (DiademError, OSError):  # a copy that is damaged or away has no picture
            return {}
        names = {dataset.id: short_name(dataset.path) for dataset in self._datasets[:_SHOWN]}
        return data_addresses((names[id_], data) for id_, data in found.items() if id_ in names)

    def __repr__(self) -> str:
        """Id and size in short."""
        return f"<Package {self.id[:19]}… {len(self.files)} files, {self.url}>"

    def __len__(self) -> int:
        """How many datasets its record has."""
        return len(self._record.datasets)

    def __bool__(self) -> bool:
        """True, also where it has no dataset."""
        return True

    def __iter__(self) -> Iterator[Dataset]:
        """Its datasets, in the order of the record; its files are `files`."""
        return iter(self.record.datasets)

    def __getitem__(self, name: int | Named) -> Dataset:
        """One dataset, by its place or its name: ``package["scan.dm4"]``; see `Datasets.find`.

        Raises
        ------
        NotFound
            None is called so; names those that come close.
        """
        return self.record.datasets[name]

    def __contains__(self, wanted: object) -> bool:
        """Whether a dataset is of it, or one is called so."""
        return wanted in self.record.datasets

    def _ipython_key_completions_(self) -> list[str]:
        return [dataset.path for dataset in self._datasets]

    @property
    def id(self) -> PackageId:
        """``diadem:<64 hex>``: SHA-256 of the tag manifest, which pins every byte."""
        return self._opened.id

    @property
    def payload_id(self) -> str:
        """64 hex digits: the same files give the same payload id, whatever was extracted from them."""
        return self._opened.payload_id

    @property
    def bag_info(self) -> Sequence[tuple[str, str]]:
        """The fields of `bag-info.txt`, in order."""
        return self._opened.bag_info

    @property
    def url(self) -> str:
        """Where the package is."""
        return self._bundle.url

    @property
    def path(self) -> Path | None:
        """The package's folder on this machine; None if it is elsewhere, in a ZIP or an adopted folder."""
        return Path(self.url) if isinstance(self._bundle, LocalBundle) else None

    @property
    def bundle(self) -> Bundle:
        """The files of the bag."""
        return self._bundle

    @property
    def manifest(self) -> Manifest:
        """Every file below `data/`, derived ones included."""
        return self._opened.manifest

    @cached_property
    def files(self) -> Sequence[FileEntry]:
        """The payload: one entry per file."""
        return self.manifest.payload

    @property
    def record(self) -> Record:
        """The metadata: the sealed record; of a package from a node, with its owner's corrections."""
        return self._record.held_by(self)

    @cached_property
    def _record(self) -> Record:
        """The same, of datasets that do not hold the package: whoever keeps them beside it makes no ring."""
        home = self.home
        return self.sealed_record if home is None or home.amend is None else home.amend(self.sealed_record)

    @property
    def _datasets(self) -> Sequence[Dataset]:
        """Those that can be shown: none where there is no record, or that of a later version."""
        try:
            return self._record.datasets
        except (DocumentError, NotFound):
            return ()

    @cached_property
    def sealed_record(self) -> Record:
        """The record as it was sealed, proven."""
        vault = Vault(partial(read_tag_file, self._bundle, VENDOR_PATH, self.id))
        return read_record(self.read_derived(RECORD_PATH), vault)

    def warnings(self) -> Sequence[Caution]:
        """Warnings about its data and about their sources; empty for a package opened without a node."""
        return FixedRows(self.home.warnings(self.id) if self.home is not None else ())

    @property
    def custody(self) -> Any:
        """Its chain of custody, as `diadem.Node.custody` gives it; only for a package opened from a node.

        Raises
        ------
        Refused
            It was opened without a node: a package holds no custody, the node's log does.
        """
        if self.home is None:
            raise Refused(
                "a package that was opened without a node has no custody to show",
                where=self.url,
                next="Get it from its node: diadem.open_node().get(id).custody",
            )
        return self.home.custody(self.id)

    def find(self, path: Named) -> FileEntry:
        """Find the entry of a file.

        Parameters
        ----------
        path : str, path, dataset, or one of `files`
            Its path below `data/`, as stored or under its original name, with or without `data/` in front (as in
            ``files[0].path``).

        Raises
        ------
        NotFound
            If there is none; the message proposes similar names.
        """
        path = path_of(path)
        for name in dict.fromkeys((path, path.replace("\\", "/"))):
            stored = "data/" + name
            # A file of the user that had the name of a derived one goes before the derived one.
            if stored in self.manifest and not (stored in DERIVED_PATHS and name in self._by_original):
                return self.manifest[stored]
            if name in self._by_original:
                return self._by_original[name]
        if path in self.manifest and path not in DERIVED_PATHS:  # last: a folder of the payload may be called data
            return self.manifest[path]
        import difflib

        near = difflib.get_close_matches(path, [entry.name for entry in self.files], 3, 0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else "See .files for what it holds."
        raise NotFound(f"the package has no file '{path}'", where=self.url, next=hint)

    @cached_property
    def _by_original(self) -> Mapping[str, FileEntry]:
        return {entry.original_name.decode("utf-8", "surrogateescape"): entry for entry in self.files}

    @property
    def fs(self) -> PackageFileSystem:
        """Its files as a file system of fsspec, every byte proven: for zarr, xarray, pandas, h5py, tifffile, Dask.

        >>> zarr.open(package.fs.get_mapper("map.zarr"))  # doctest: +SKIP
        """
        from diadem.archive.filesystem import PackageFileSystem

        return PackageFileSystem(self)

    def open(self, path: Named) -> VerifiedFile:
        """Open a file for reading; every leaf is proven before its bytes are returned.

        Parameters
        ----------
        path : str
            A file's name, as `find` takes it.

        Returns
        -------
        VerifiedFile
            A seekable binary file; h5py and tifffile read through it. Reading raises `DigestMismatch` at damage.

        Raises
        ------
        NotFound
            If the package has no such file.
        """
        return self._open(self.find(path))

    def open_stored(self, path: str) -> VerifiedFile:
        """Open a file by its path in the bag, those that DIADEM derived too, proven as `open` does."""
        return self._open(self.stored(path))

    def read_derived(self, path: str) -> bytes:
        """One that DIADEM derived, whole. Raises `DocumentError` where it is larger than anything that it derives."""
        entry = self.stored(path)
        require_size(entry.size, where=path)
        return read_proven(self._bundle, entry, self._opened.leaves)

    def stored(self, path: str) -> FileEntry:
        """What the manifest says of a path in the bag. Raises `NotFound`."""
        if path not in self.manifest:
            what = "record" if path == RECORD_PATH else path
            raise NotFound(f"the package has no {what}", where=self.url, next="See .files for what it holds.")
        return self.manifest[path]

    def _open(self, entry: FileEntry) -> VerifiedFile:
        opened = self.stored_as(entry, self._bundle.open(entry.path))
        opened.again = None if self.bare is None else partial(_file_again, self.bare, entry.path)
        return opened

    def verify(
        self, *, level: Level | str | None = None, workers: int | None = None, listener: Listener = progress_bar
    ) -> Report:
        """Prove the package; see `diadem.verify`. Of a package from a node, damage is noted in the node's log."""
        report = verify(
            self._bundle,
            level=None if level is None else Level(level),
            expected_id=self.id,
            opened=self._opened,
            workers=workers,
            listener=listener,
        )
        known = None if report.ok or self.home is None else self.home.damaged
        return report if known is None else known(self._bundle, report)

    def restore(
        self, folder: str | Path, *, only: Sequence[str] | str = (), listener: Listener = progress_bar
    ) -> Restored:
        """Restore the files with their original names, folders, times and write permission, every leaf proven.

        Parameters
        ----------
        folder : path
            A new or empty folder.
        only : str or sequence of str
            Only these files, with the companion files of their datasets: ``"HAADF*"``; see `diadem.Node.restore`.
        listener : callable
            Told of progress.

        Raises
        ------
        Refused
            If the folder has content.
        NotFound
            If no file matches `only`; the message proposes similar names.
        DigestMismatch
            If a file is damaged; nothing is left behind.
        """
        return restore(self, Path(folder), only=only, listener=listener)

    def export(
        self,
        form: str,
        path: str | Path,
        *,
        for_: str = "",
        dataset: Named = "",
        options: Mapping[str, Any] | Sequence[str] = (),
        listener: Listener = progress_bar,
    ) -> ExportedForm:
        """Export it in a form that a plugin offers; what is read is proven: ``package.export("nxem", "session.nxs")``.

        Of a package from a node that is `diadem.Node.export`, which notes who it is for; of one that was opened without
        a node, nobody notes it, and it goes to no service. What its owner corrected and how its data are judged counts
        there too, where that came beside it and holds.

        Parameters
        ----------
        form : str
            Its name; `diadem.plugins` lists them as exporters.
        path : path or URL
            A new file or folder, or the address of the service.
        for_ : str
            For whom; by default who exports it.
        dataset : str
            Only this dataset.
        options : mapping, or sequence of str
            Of the form: ``{"files": True}``.
        listener : callable
            Told of progress.

        Raises
        ------
        UsageError
            There is no such form, or no such option.
        Refused
            Something has the name; or a fact is missing that the form needs, and the message says how to supply it.
        DigestMismatch
            A file is damaged; nothing is left behind.
        IntegrityError
            The corrections beside it are not what their owner signed.
        """
        named = path_of(dataset) if dataset else ""
        if (export := getattr(self.home and self.home.node, "export", None)) is not None:
            more = {"options": options, "listener": listener}
            found: ExportedForm = export(str(self.id), path, form=form, for_=for_, dataset=named, **more)
            return found
        from diadem.archive.export import export_form

        return export_form(self, form, Path(path).absolute(), dataset=named, options=options, listener=listener)

    def local(self, path: Named, *, folder: str | Path | None = None, listener: Listener = progress_bar) -> Path:
        """Return a proven local path of a dataset or file, for programs that need a file name.

        Parameters
        ----------
        path : str
            A dataset's primary file, the folder that is the dataset, or any file, as `load` and `find` take it.
        folder : path, optional
            Where to put a copy, under its stored path. Default: no copy if the package is a folder on this machine,
            else the user's cache (``DIADEM_CACHE``), where it stays. A file that is there already is proven, and
            fetched again only if it is not what was archived.
        listener : callable
            Told of progress.

        Returns
        -------
        Path
            Inside the package it is read-only. Companion files of the dataset are beside it, proven too.

        Raises
        ------
        NotFound
            The package has no such file.
        DigestMismatch
            A file is not what was archived.
        StoreError
            There is no room for a copy.

        Examples
        --------
        >>> napari.view_path(package.local("scan.tif"))  # doctest: +SKIP
        >>> py4DSTEM.read(package["4D.dm4"].local())  # doctest: +SKIP
        """
        from diadem.archive.load.dataset import local_path

        return local_path(self, path_of(path), folder=None if folder is None else Path(folder), listener=listener)

    def stored_as(self, entry: FileEntry, reader: RangeReader) -> VerifiedFile:
        """A file that is said to be a copy of one of the package, for proven reading."""
        return VerifiedFile(reader, entry, self._opened.leaves)

    def load(self, path: Named, *, lazy: bool = True, signal: int | str | None = None, verify: str = "proof") -> Any:
        """Load a dataset as a HyperSpy signal whose bytes are proven.

        Parameters
        ----------
        path : str
            The dataset's primary file, as `find` takes it, or the folder that is the dataset.
        lazy : bool
            True gives a Dask array whose chunks are proven when they are computed, where the format allows it.
        signal : int or str, optional
            Which signal, by position, title, or id in the record (``s1``). Default: all, as one signal or a list.
        verify : {"proof", "always", "never"}
            ``proof`` accepts an earlier proof, ``always`` proves the file again, ``never`` does not prove it.

        Returns
        -------
        hyperspy signal or list of them
            ``metadata.General.diadem`` names the package, the dataset (its id in the record) and the file, ``path``.
            `metadata` has the values of the record, in HyperSpy's units (keV, mm, nA, mrad, s, degrees); where the
            reader had different values, they are listed in ``metadata.General.diadem.replaced``.
            `original_metadata` is the reader's.

        Raises
        ------
        DigestMismatch
            Here or at `compute()` of the chunk that is damaged.
        ReaderError
            If no reader can read the file.

        Warns
        -----
        QualityWarning
            Somebody has rejected the data, or their sources, or accepted them only with limits.
        """
        from diadem.archive.load.dataset import load_from_package

        return load_from_package(self, path_of(path), lazy=lazy, signal=signal, verify=verify)

    def picture(
        self,
        path: Named,
        *,
        signal: int | str | None = None,
        size: int = 512,
        at: At | None = None,
        crop: Sequence[int] | None = None,
        percentiles: tuple[float, float] | None = None,
        levels: tuple[float, float] | None = None,
        gamma: float | None = None,
    ) -> Picture:
        """Draw a dataset: an image with a scale bar, a spectrum with axes, or for 4D data the map or one pattern.

        If an array is larger than memory, only an evenly spread part of it is read, and the picture says so.

        Parameters
        ----------
        path : str
            The dataset, as `load` takes it.
        signal : int or str, optional
            Which signal, as for `load`; default the first image, else the first that can be drawn.
        size : int
            Pixels of the longer side, 64 to 4096. Smaller images are enlarged by whole pixels.
        at : int or sequence of int or "mean", optional
            A place of the scan, or a frame of the stack: ``(row, column)``, as NumPy counts them. Its pattern, frame
            or spectrum is drawn instead of the map; with "mean" the mean of many places.
        crop : sequence of int, optional
            A part of the image or map: first row, first column, rows, columns. Only this part is read,
            at full resolution.
        percentiles : (float, float), optional
            Percentiles shown as black and white; default 1 and 99, for a pattern 99.9.
        levels : (float, float), optional
            The values shown as black and white.
        gamma : float, optional
            Above 1, dark parts become brighter; default 1, for a pattern 2.

        Returns
        -------
        Picture
            A notebook shows it; ``png`` has its bytes, ``save(path)`` writes them.

        Raises
        ------
        NotFound
            There is no such dataset or signal.
        UsageError
            There is no such size, place, part or contrast.
        ReaderError
            It cannot be read, or holds nothing that can be drawn.
        DigestMismatch
            What was read is damaged.
        """
        from diadem.archive.picture import opened
        from diadem.archive.plot import Contrast

        contrast = Contrast(percentiles, levels, gamma)
        with opened(self, path_of(path)) as scene:
            return scene.part(signal=signal, size=size, at=at, crop=crop).draw(size, contrast)

    def previews(self) -> Mapping[str, bytes]:
        """Return the small pictures of its datasets, as drawn when the package was sealed.

        Returns
        -------
        mapping of str to bytes
            PNG or JPEG by the dataset's id in the record. Datasets without a picture, and those for which
            the package had no room, are missing.

        Raises
        ------
        IntegrityError
            They are damaged in the copy that was read.
        """
        from diadem.archive.facts import previews_of

        return Previews({f"d{number + 1}": data for number, data in sorted(previews_of(self).items())})

    def show(self) -> Overview:
        """Show it on one screen: ``print`` it, or ``to_dict()``. A node's `show` adds copies and assessments."""
        from diadem.archive.overview import overview

        return overview(self)

    def reextract(self, *, listener: Listener = progress_bar) -> Reextraction:
        """Read the payload again with the installed readers. The package is not changed.

        Every byte read is proven: in place if the package is on this machine, else in a temporary copy of one dataset
        at a time.

        Parameters
        ----------
        listener : callable
            Told of progress.

        Returns
        -------
        Reextraction
            The new record and how it differs from the sealed one: ``print`` it, or ``to_dict()``.

        Raises
        ------
        DigestMismatch
            A file is not what was archived.
        """
        from diadem.archive.reextract import reextract

        return reextract(self, listener)


def _file_again(again: Callable[[], Package], path: str) -> VerifiedFile:
    """A file of a package that another process had opened, from its beginning."""
    return again().open_stored(path)
