"""What plugins offer: frozen, typed descriptors; and the hooks by which a program offers them.

A plugin is a package with a `formats.toml` (see `diadem.hooks.manifest`), or a module with the hook `diadem_formats` or
`diadem_exporters`, named in the entry-point group ``diadem`` of its distribution. Nothing live is handed to it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pluggy

from diadem.errors import PluginError

#: Of the entry points, and of the hook.
GROUP: Final = "diadem"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

_TABLE = re.compile(r"[A-Za-z_][\w.]*/[a-z0-9]+(-[a-z0-9]+)*\Z")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
#: What may be exported: a package, one dataset of it, or all packages that a search finds.
TAKEN: Final = ("package", "dataset", "search")
#: What comes of it: a file, a folder with files, or something in a service elsewhere.
WRITTEN: Final = ("file", "folder", "service")
#: When a check runs.
CHECKED = ("extract", "assess")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Names of extensions, as the record's schema has them.
NAMESPACE = re.compile(r"[a-z0-9]+(\.[a-z0-9_-]+)+")


@hookspec
def diadem_formats() -> Iterable[Any]:  # type: ignore[empty-body]
    """Offer what a `formats.toml` cannot express: anything of `KINDS`, in any order.

    Each plugin is asked on its own, at the start of every process of DIADEM: import nothing heavy here.

    Returns
    -------
    iterable of offers
        What was offered before a failure counts.

    Example
    -------
    ::

        @hookimpl
        def diadem_formats():
            yield ReaderOffer(name="my-format", suffixes=(".myf",), open="my_plugin.files:open")
            yield CheckOffer(name="my-format", formats=("my-format",), check="my_plugin.quality:check")
    """


@hookspec
def diadem_exporters() -> Iterable[Any]:  # type: ignore[empty-body]
    """Offer ways out: forms in which packages leave DIADEM, and services that they go to.

    Asked as `diadem_formats` is; a plugin has either, or both.

    Returns
    -------
    iterable of ExporterOffer
        What was offered before a failure counts.

    Example
    -------
    ::

        @hookimpl
        def diadem_exporters():
            yield ExporterOffer(name="list", title="A list of files", export="my_plugin.ways:export", suffix=".csv")
    """


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes that a format has at a fixed place."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """Files that make one dataset, recognised by their names alone.

    Patterns are matched without regard to case. ``{stem}`` is what the primary's pattern captured, and comes
    first; ``*``, ``?`` and ``[…]`` are as in fnmatch; ``Folder/**`` is everything below a folder beside the primary.

    Attributes
    ----------
    primary : str
        Pattern of the file handed to the reader: ``{stem}_master.h5``.
    parts : sequence of str
        Patterns of files that hold data. A pattern without ``{stem}`` counts only if the folder has one primary of
        the group, so that no primary takes another's files.
    sidecars : sequence of str
        Patterns of files with metadata.
    required : bool
        Whether a primary without parts is incomplete.
    """

    primary: str
    parts: Sequence[str] = ()
    sidecars: Sequence[str] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class ReaderOffer:
    """A reader of one instrument format.

    Attributes
    ----------
    name : str
        The format's name, in lower case with dashes: ``digitalmicrograph``.
    suffixes : sequence of str
        File name endings with the dot, lower case; several dots are allowed: ``(".dm3", ".dm4")``.
    load : str
        ``module:function`` of the reader, imported in the worker only. It is called as ``function(path, lazy=True)``
        and returns a list of RosettaSciIO signal dictionaries (data, axes, metadata, original_metadata, mapping).
        "" if `open` needs none.
    magic : sequence of Magic
        One of them must match; empty means that the suffix alone decides.
    signature : bytes, optional
        A regular expression that the first 4,096 bytes of the format's files match from the first byte on (``.`` is any
        byte), so that they are recognised under any name, unless another reader's suffix and magic fit. None takes the
        magic numbers of four bytes and more, except those of archives and HDF5 files, which need a `probe` to be told
        apart; ``b""``: the suffix must fit.
    sidecars : sequence of str
        Patterns of files that belong to the primary: ``{stem}.hdr`` or ``{stem}_data_*.h5``, wildcards as in fnmatch.
    options : mapping
        Keyword arguments for the reader; JSON values.
    groups : sequence of Group
        Sets of files that are one dataset, if `sidecars` is not enough.
    folders : sequence of str
        Endings of folders that are one dataset, with the dot, lower case: ``(".zspy",)``. The reader gets the folder.
    probe : str
        ``module:function`` that inspects a file whose suffix several formats share, called in the worker as
        ``function(path)`` before the reader; false means "not mine". Or ``package/format`` of a `formats.toml` that
        says what such a file holds. "" if suffix and magic suffice.
    priority : int
        Higher is tried first when several offers match.
    open : str
        ``module:function`` called as ``function(files)``, which returns all that is known of a dataset, for the record
        and for `Package.load` (see `diadem.hooks.formats`). It takes the place of `load` and of `FieldsOffer.blocks`;
        `load` is then what ``files.read()`` calls. Pixel sizes that the tables of any
        plugin state are put into the axes of pictures afterwards: an `open` leaves axes that it does not know without
        a unit.
    """

    name: str
    suffixes: Sequence[str]
    load: str = ""
    magic: Sequence[Magic] = ()
    signature: bytes | None = None
    sidecars: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    groups: Sequence[Group] = ()
    folders: Sequence[str] = ()
    probe: str = ""
    open: str = ""

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        if not self.open:
            _require_target(f"reader offer '{self.name}': load", self.load)
        for what in ("open", "load", "probe"):
            if (target := getattr(self, what)) and not (what == "probe" and _TABLE.match(target)):
                _require_target(f"reader offer '{self.name}': {what}", target)
        try:
            re.compile(self.signature or b"")
        except re.error as error:
            raise PluginError(f"reader offer '{self.name}': signature is not a regular expression: {error}") from None
        if bad := [
            suffix
            for suffix in (*self.suffixes, *self.folders)
            if not suffix.startswith(".") or suffix != suffix.lower()
        ]:
            raise PluginError(f"reader offer '{self.name}': suffixes are lower case and start with a dot, not {bad}")


@dataclass(frozen=True, slots=True)
class FieldsOffer:
    """Metadata of one or several formats: where their blocks are, and tables that turn them into fields.

    Tables add assertions under the plugin's own name; they never overwrite another's.

    Attributes
    ----------
    name : str
        Names the tables in the evidence: ``velox``.
    formats : sequence of str
        Names of the readers' formats for which it is used; ``*`` is all.
    tables : mapping of str to str
        Kind of block to ``package/kind`` of a table in a package's `formats.toml` (see `diadem.hooks.tables`), or to
        ``module:NAME`` of a sequence of `Rule` and `Derived` (see `diadem.hooks.fields`). The trees of
        RosettaSciIO's readers (`original_metadata`) are blocks of the kind ``rosettasciio``.
    blocks : str
        ``module:function`` that cuts blocks out of a dataset's files, called in the worker as ``function(path, files)``
        with the path of the primary file and those of all files, and returning `Block` objects; or ``package/name`` of
        offers in a package's `formats.toml` that say what to `cut`. "" if the tables are for other plugins' blocks.
    """

    name: str
    formats: Sequence[str]
    tables: Mapping[str, str]
    blocks: str = ""

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        for kind, target in self.tables.items():
            if not _TABLE.match(target):
                _require_target(f"fields offer '{self.name}': the table for '{kind}'", target)
        if self.blocks and not _TABLE.match(self.blocks):
            _require_target(f"fields offer '{self.name}': blocks", self.blocks)


@dataclass(frozen=True, slots=True)
class SchemaOffer:
    """JSON Schemas of an extension namespace (see `diadem.hooks.fields.Extension`).

    Schemas may refer to each other, to those of other plugins and to DIADEM's own by ``$id``. Nothing is fetched.

    Attributes
    ----------
    namespace : str
        In reverse domain order, lower case: ``org.example.cl``. Take one that you own.
    versions : mapping of str to mapping
        Version to JSON Schema, draft 2020-12. A published version never changes: records name it.
    """

    namespace: str
    versions: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        if not NAMESPACE.fullmatch(self.namespace):
            raise PluginError(f"'{self.namespace}' is not a namespace; write it as org.example.cl")
        if not self.versions:
            raise PluginError(f"schema offer '{self.namespace}': there is no version")


@dataclass(frozen=True, slots=True)
class PreviewOffer:
    """A picture of a format's datasets that shows more than DIADEM's own.

    Attributes
    ----------
    name : str
        In lower case with dashes: ``cl-map``.
    formats : sequence of str
        Names of the readers' formats that it draws; ``*`` is all.
    draw : str
        ``module:function``, called in the worker as ``function(path, files, signals)`` with the path of the primary
        file, those of all files, and the reader's signal dictionaries, whose arrays may be lazy: read only a little.
        It returns a NumPy array, rows by columns: of real numbers, which are shown in grey between their first and
        ninety-ninth percentile, or of red, green and blue as uint8; None if there is nothing to show. DIADEM
        shrinks it as needed. If it fails, or returns anything else, DIADEM draws its own picture and says so.
    priority : int
        Higher is tried first when several offers match.
    """

    name: str
    formats: Sequence[str]
    draw: str
    priority: int = 0

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        _require_name("preview offer", self.name)
        _require_target(f"preview offer '{self.name}': draw", self.draw)


@dataclass(frozen=True, slots=True)
class CheckOffer:
    """What a careful colleague would see in a format's datasets: a wrong calibration, drift, a shutter in the way.

    Attributes
    ----------
    name : str
        In lower case with dashes; the codes of its issues begin with it.
    formats : sequence of str
        Names of the readers' formats that it checks; ``*`` is all.
    check : str
        ``module:function``, called in the worker as ``function(path, files, dataset)`` with the path of the primary
        file, those of all files, and what is known about the dataset (`Described`). It returns, or
        yields, `Issue` objects.
    when : str
        ``extract``: whenever a dataset is read, for the record; ``assess``: only when somebody has the data assessed
        (``diadem assess ID --machine``); then it may read some of the data (`Described.arrays`).
    """

    name: str
    formats: Sequence[str]
    check: str
    when: str = "extract"

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        _require_name("check offer", self.name)
        if self.when not in CHECKED:
            raise PluginError(f"check offer '{self.name}': when is one of {', '.join(CHECKED)}, not '{self.when}'")
        _require_target(f"check offer '{self.name}': check", self.check)


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset as it will be in the record. Do not change it.

    Attributes
    ----------
    format : str
        Name of the reader that recognised it.
    signals : sequence of mapping
        ``{id, title, kind, shape, dtype, axes}`` each, lengths and energies in SI units; empty if the reader failed.
    fields : mapping of str to sequence of mapping
        Assertions by field key, as in the record; the preferred one first.
    extensions : mapping of str to object
        Data by namespace, not yet checked by their schemas.
    issues : sequence of mapping
        ``{code, message, …}`` each: problems found already.
    arrays : mapping of str to array
        NumPy or Dask arrays by the id of the signal: read only a little. Empty for checks that run at every extraction.
    """

    format: str
    signals: Sequence[Mapping[str, Any]] = ()
    fields: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    issues: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> Any:
        """Return the first value stated for a field, in the field's unit; None if nothing is stated."""
        stated = self.fields.get(key, ())
        return stated[0]["value"] if stated else None


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that a careful colleague would point out.

    Attributes
    ----------
    code : str
        Short and stable, in lower case with dashes: ``drift``. The record has it behind the check's name: ``cl-drift``.
    message : str
        What was found, in plain words, with numbers and units.
    severity : {"error", "warning", "info"}
        Whether the data are wrong, doubtful, or merely worth a look.
    next : str
        What a person can do now, or "".
    """

    code: str
    message: str
    severity: Literal["error", "warning", "info"] = "warning"
    next: str = ""


@dataclass(frozen=True, slots=True)
class CarrierOffer:
    """A carrier: takes sealed objects from one node to another that is not online at the same time.

    It moves bytes and nothing else: sealing, proof, custody and receipts stay in the core, which trusts nothing that
    a carrier returns.

    Attributes
    ----------
    scheme : str
        How its addresses begin, in lower case: ``drop`` for ``drop:///mnt/group``.
    connect : str
        ``module:function``, called in the node's process as ``function(url)`` with the address that people wrote into
        `node.toml`. It returns a `diadem.model.carriers.Carrier`; its method `close`, if it has one, is called at the
        end. It raises `diadem.errors.UsageError` for an address that leads nowhere, `Unreachable` if nothing
        answers.
    """

    scheme: str
    connect: str

    @property
    def name(self) -> str:
        """The scheme."""
        return self.scheme

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        _require_name("carrier offer", self.scheme)
        _require_target(f"carrier offer '{self.scheme}': connect", self.connect)


@dataclass(frozen=True, slots=True)
class ExporterOffer:
    """A form in which packages leave DIADEM, or a service that they go to.

    Attributes
    ----------
    name : str
        In lower case with dashes: ``nxem``. People write it behind ``diadem export ID OUT --as``.
    title : str
        What comes of it, in some words: ``NeXus file (NXem)``.
    export : str
        ``module:function``, called in the node's process as ``function(source, target, **options)`` with an
        `ExportSource` and an `ExportTarget` (`diadem.hooks.exporters`). It writes to ``target.path``, or talks to
        ``target.url``, and returns None or a mapping of words to texts, which are shown to the user. Where facts are
        missing it raises `diadem.errors.Refused`, and says which and how to supply them. The same source and options
        give the same bytes.
    takes : sequence of str
        Of what: ``package``, ``dataset`` (one dataset of a package), ``search`` (many packages).
    writes : str
        ``file``, ``folder`` or ``service``.
    suffix : str
        Of the file's name: ``.eln``. "" for others.
    options : mapping of str to mapping
        JSON Schema of each option by its name, an identifier; with ``description``, which is shown, and ``default``,
        which the function is given where the user says nothing; an option without is left out then. Of formats
        ``date`` counts, and ``moment``: a day, or a time of it in ISO 8601.
    """

    name: str
    title: str
    export: str
    takes: Sequence[str] = ("package",)
    writes: str = "file"
    suffix: str = ""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse a descriptor that cannot work."""
        _require_name("exporter offer", self.name)
        _require_target(f"exporter offer '{self.name}': export", self.export)
        if not self.takes or set(self.takes) - {*TAKEN}:
            raise PluginError(f"exporter offer '{self.name}': takes is some of {', '.join(TAKEN)}, not {self.takes}")
        if self.writes not in WRITTEN:
            raise PluginError(f"exporter offer '{self.name}': writes is {' or '.join(WRITTEN)}, not '{self.writes}'")
        if (self.writes == "file") != bool(self.suffix) or not (self.suffix + ".").startswith("."):
            raise PluginError(f"exporter offer '{self.name}': a file, and nothing else, has a suffix with a dot")
        if bad := [name for name in self.options if not name.isidentifier() or name in ("source", "target")]:
            raise PluginError(f"exporter offer '{self.name}': options are named like parameters, not {bad}")


def _require_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PluginError(f"{what}: a name is lower case with dashes, not '{name}'")


def _require_target(what: str, target: str) -> None:
    if not _TARGET.match(target):
        raise PluginError(f"{what} must be 'module:name', not '{target}'")


#: What may be offered, by the name of its kind.
KINDS: Final[Mapping[str, type[Any]]] = {
    "formats": ReaderOffer,
    "fields": FieldsOffer,
    "schemas": SchemaOffer,
    "previews": PreviewOffer,
    "checks": CheckOffer,
    "carriers": CarrierOffer,
    "exporters": ExporterOffer,
}


#: The hooks by which a program offers them.
HOOKS: Final = (diadem_formats, diadem_exporters)


def kind_of(offer: Any) -> str:
    """The kind of an offer; "" for what is none."""
    return next((kind for kind, type_ in KINDS.items() if isinstance(offer, type_)), "")


def names_of(offer: Any) -> list[str]:
    """What an offer is known by: its name; namespace and version of each schema."""
    if isinstance(offer, SchemaOffer):
        return [f"{offer.namespace} {version}" for version in offer.versions]
    return [offer.name]


def target(dotted: str) -> Any:
    """What ``module:name`` names, imported now. Raises whatever the import raises, and `AttributeError`."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)
