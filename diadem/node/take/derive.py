"""Archiving what an analysis has made: a signal, a figure, a file; with a signed statement of what it was made from."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.display import Display
from diadem.model.lineage import Derivation, Source
from diadem.model.manifest import PREFIX, PackageId
from diadem.model.ports import Listener, silent
from diadem.model.record import Dataset
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.quality.amend import effective
from diadem.node.take.archive import ArchiveOptions, archive
from diadem.node.take.arrival import Archived
from diadem.serialization.validation import validate_draft

#: Packages that one statement names as sources; more are further statements of the same result.
MAX_SOURCES: Final = 2_000
#: Bytes that the parameters may have as JSON.
MAX_PARAMETERS: Final = 64 << 10
#: Sources whose records are read for the sample that they share.
_READ: Final = 50
#: Stands for the result until it is archived.
_ANY: Final = "diadem:" + "0" * 64
_WHOLE: Final = re.compile(r"diadem:[0-9a-f]{64}\Z")
_ID: Final = re.compile(r"(?:diadem:)?[0-9a-f]{8,64}\Z")
#: Programs that are named as having made a result, where the process has imported them: module and distribution.
KNOWN_SOFTWARE: Final = (
    ("hyperspy", "hyperspy"), ("rsciio", "rosettasciio"), ("exspy", "exspy"), ("pyxem", "pyxem"),
    ("lumispy", "lumispy"), ("holospy", "holospy"), ("kikuchipy", "kikuchipy"), ("atomap", "atomap"),
    ("py4DSTEM", "py4DSTEM"), ("libertem", "libertem"), ("abtem", "abtem"), ("ase", "ase"),
    ("numpy", "numpy"), ("scipy", "scipy"), ("skimage", "scikit-image"), ("sklearn", "scikit-learn"),
    ("matplotlib", "matplotlib"), ("dask", "dask"),
)  # fmt: skip
#: Characters of a file's name that are made of the title of a result.
_LONGEST: Final = 80
_ODD: Final = re.compile(r"[^\w .+()-]+")
_DOTS: Final = 300


@dataclass(frozen=True, slots=True)
class Derived(Display):
    """A result in the archive.

    Attributes
    ----------
    package : str
        Its id.
    derivations : tuple of Derivation
        What was stated.
    archived : Archived or None
        What archiving it did; None where it was a package of the node already.
    """

    _display_keys = ("package", "stores", "by", "time", "comment", "software", "parameters", "made from: package path")

    def _display_document(self) -> dict[str, Any]:
        said = [one.to_dict() for one in self.derivations]
        software = [f"{one['name']} {one['version']}" for one in said[0]["software"]]
        return {
            **said[0],
            "package": self.package,
            "stores": [copy.store for copy in self.archived.copies] if self.archived else [],
            "software": software,
            "made from": [source for one in said for source in one["sources"]],
        }

    def _display_title(self) -> str:
        return str(self.archived.package.record.session.get("title") or "") if self.archived else ""

    def _display_pictures(self) -> Mapping[str, str]:
        return self.archived.package._display_pictures() if self.archived else {}  # noqa: SLF001

    package: str
    derivations: tuple[Derivation, ...]
    archived: Archived | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: package, derivations, archived."""
        return {
            "package": self.package,
            "derivations": [one.to_dict() for one in self.derivations],
            "archived": self.archived.to_dict() if self.archived is not None else None,
        }


def derive_result(
    context: Context,
    result: Any,
    from_: Any,
    *,
    software: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    comment: str = "",
    name: str = "",
    listener: Listener = silent,
) -> Derived:
    """Archive a result, or take a package that is one, and state what it was made from."""
    provenance = _provenance(context, from_, software, parameters or {}, comment)
    context.require_writable()
    if isinstance(result, str) and _ID.match(result) and not Path(result).exists():
        return _stated(context, context.catalogue.get(result).id, provenance, None)
    for sources in _portions(provenance.sources):  # before anything is archived
        validate_draft(_draft(context, _ANY, provenance, sources))
    title = " ".join((name or _title_of(result) or "result").split())
    with tempfile.TemporaryDirectory(prefix="diadem-result-") as folder:
        path = _file_of(result, title, Path(folder))
        options = ArchiveOptions(
            metadata=_metadata(context, title, provenance),
            as_one=True,
            now=True,
            source_label=f"the analysis '{title}'" if path.is_relative_to(folder) else "",
        )
        done = archive(context, path, options, listener=listener)
    return _stated(context, done.package.id, provenance, done)


def _metadata(context: Context, title: str, provenance: Provenance) -> dict[str, Any]:
    """What is known of a result beforehand: its name, and the sample, where all sources are of one."""
    metadata: dict[str, Any] = {"session": {"title": title}}
    samples = []
    packages = list(dict.fromkeys(source.package for source in provenance.sources))
    for package in packages if len(packages) <= _READ else ():
        with suppress(DiademError, OSError):
            found, _ = PackageCopies(context, package).best()
            samples.append(dict(effective(context, package, found.record).sample))
    if len(samples) == len(packages) and samples[0] and all(sample == samples[0] for sample in samples):
        metadata["sample"] = samples[0]
    return metadata


def _stated(context: Context, package: str, provenance: Provenance, archived: Archived | None) -> Derived:
    if any(source.package == package for source in provenance.sources):
        raise UsageError("a package cannot be made from itself", where=package)
    drafts = [_draft(context, package, provenance, sources) for sources in _portions(provenance.sources)]
    entries = context.say(drafts, as_user=True)
    said = [Derivation.of(entry.statement_id, entry.place, entry.statement.predicate) for entry in entries]
    return Derived(package, tuple(said), archived)


def _portions(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Sources in lists that fit into one statement, those of one package together."""
    ordered = sorted(set(sources), key=lambda one: (one.package, one.path))
    portion: list[Source] = []
    packages = 0
    for _, group in groupby(ordered, key=lambda one: one.package):
        own = list(group)
        if packages == MAX_SOURCES or (portion and len(portion) + len(own) > MAX_SOURCES):
            yield portion
            portion, packages = [], 0
        if len(own) > MAX_SOURCES:
            own = [Source(own[0].package)]  # so many datasets of one package are the package
        portion, packages = portion + own, packages + 1
    yield portion


def _draft(context: Context, package: str, provenance: Provenance, sources: Sequence[Source]) -> Draft:
    return statements.derivation(
        package,
        sources,
        by=context.address,
        software=provenance.software,
        parameters=provenance.parameters,
        comment=provenance.comment.strip(),
    )


# -- how it came about ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a result came about."""

    sources: Sequence[Source]
    software: Sequence[tuple[str, str]]
    parameters: Mapping[str, Any]
    comment: str = ""


def _provenance(
    context: Context, from_: Any, software: Mapping[str, str] | None, parameters: Mapping[str, Any], comment: str
) -> Provenance:
    """What a program gives: one source or several, each an id (``406f3245b359``, ``406f3245b359:scan.dm4``), a package,
    a dataset, a row of a search, a pair of id and path, or a signal that was loaded from a package.
    """
    alone = isinstance(from_, str | Package) or hasattr(from_, "axes_manager") or not isinstance(from_, Iterable)
    sources = tuple(dict.fromkeys(_source(context, one) for one in ([from_] if alone else from_)))
    if not sources:
        raise UsageError("no source of the result is named", next="Name a package: --from ID")
    used = _software_in_use(context.tools.software) if software is None else list(software.items())
    return Provenance(sources, [(str(one), str(version)) for one, version in used], _plain(parameters), comment)


def _source(context: Context, given: Any) -> Source:
    if (origin := _origin(given)) is not None:
        given = origin
    if isinstance(given, Dataset):
        given = (given.package.id, given.path)
    if isinstance(given, tuple) and len(given) == 2:
        package, path = str(given[0]), str(given[1] or "")
    elif isinstance(given, str):
        begin = given.removeprefix(PREFIX)
        package, _, path = begin.partition(":")
        package = PREFIX + package if given.startswith(PREFIX) else package
    else:
        package, path = str(getattr(given, "id", "")), ""
    if not _ID.match(package):
        raise UsageError(
            f"'{str(given)[:80]}' is not a package",
            next="Name it by its id, 406f3245b359, or one dataset of it, 406f3245b359:scan.dm4.",
        )
    try:
        found = context.catalogue.get(package).id
    except NotFound:
        if not _WHOLE.match(package):
            raise
        return Source(str(PackageId(package)), path)  # it lies elsewhere
    return Source(found, context.follower.dataset(found, path).path if path else "")


def _origin(given: Any) -> tuple[str, str] | None:
    """Package and path of a signal that was loaded from a package."""
    metadata = getattr(given, "metadata", None)
    if not hasattr(given, "axes_manager") or metadata is None:
        return None
    package = metadata.get_item("General.diadem.package", None)
    if not package:
        raise UsageError("the signal was not loaded from a package", next="Load it with: node.get(id).load(path)")
    return str(package), str(metadata.get_item("General.diadem.path", "") or "")


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them; NumPy's numbers and arrays are taken for such."""

    def of_numpy(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")

    try:
        text = json.dumps(dict(parameters), default=of_numpy, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the parameters are not a JSON object: {error}", next="Give numbers, texts, lists.") from None
    if len(text) > MAX_PARAMETERS:
        raise UsageError(
            f"parameters of {len(text):,} characters are too many", next="Archive them as a file beside the result."
        )
    plain: dict[str, Any] = json.loads(text)
    return plain


# -- the file that holds it ----------------------------------------------------------------------------------------


def _software_in_use(ours: str) -> list[tuple[str, str]]:
    """Names and versions of what this process works with: ours, Python, and known programs that it imported."""
    found = [("diadem-em", ours.rpartition(" ")[2]), ("python", platform.python_version())]
    for module, distribution in KNOWN_SOFTWARE:
        if module in sys.modules:
            try:
                found.append((distribution, version(distribution)))
            except PackageNotFoundError:  # a folder on the path, not installed
                found.append((distribution, str(getattr(sys.modules[module], "__version__", "unknown"))))
    return found


def _title_of(result: Any) -> str:
    """What a result calls itself, or ""."""
    if _is_signal(result):
        return str(result.metadata.get_item("General.title", "")).strip()
    if _is_figure(result):
        return str(getattr(getattr(result, "_suptitle", None), "get_text", str)()).strip()
    return Path(os.fspath(result)).stem if isinstance(result, str | os.PathLike) else ""


def _is_signal(result: Any) -> bool:
    """Whether it is a HyperSpy signal."""
    return hasattr(result, "axes_manager") and hasattr(result, "save")


def _is_figure(result: Any) -> bool:
    """Whether it is a Matplotlib figure."""
    return hasattr(result, "savefig")


def _file_of(result: Any, name: str, folder: Path) -> Path:
    """The file or folder that holds a result, written into `folder` unless it lies on the disk already."""
    plain = _ODD.sub("_", name).strip(" .")[:_LONGEST].strip(" .") or "result"  # a name that every system takes
    if _is_signal(result):
        path = folder / f"{plain}.hspy"
        result.save(str(path), overwrite=False)
        return path
    if _is_figure(result):
        path = folder / f"{plain}.png"
        result.savefig(str(path), dpi=_DOTS)
        return path
    if not isinstance(result, str | os.PathLike):
        raise UsageError(
            f"a result of the type {type(result).__name__} cannot be archived",
            next="Give a HyperSpy signal, a Matplotlib figure, or the path of a file or folder.",
        )
    path = Path(os.fspath(result)).absolute()
    if not path.exists():
        raise NotFound("there is no such file or folder", where=str(path), next="Check the path.")
    return path
