"""Another form of packages, as a plugin's exporter writes it: beside its place, forced to disk, then given its name.

Nothing half-written ever has the name that the user asked for. What a run that was killed left is removed by the next
that writes to the same place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, Interrupted, PluginError, UsageError
from diadem.export.zip import refuse_existing
from diadem.hooks.exporters import ExportSource, ExportTarget
from diadem.hooks.offers import ExporterOffer, target
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import first_of
from diadem.model.ports import Listener, Progress
from diadem.store.stage import remove_tree
from diadem.store.system import flush_file, flush_folder, long_path, move, translated
from diadem.store.whole import give_name

_BLOCK = 4 << 20
_NOTHING = "nothing was exported"


@dataclass(frozen=True, slots=True)
class Finished:
    """What was written: its bytes, how many files, and a SHA-256; of a folder that of its list of digests."""

    bytes: int = 0
    files: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ExportedForm(Display):
    """What left in another form.

    Attributes
    ----------
    form : str
        Name of the exporter.
    place : str
        The file or folder, or the address in the service.
    to : str
        For whom.
    packages : sequence of PackageId
        Of what.
    dataset : str
        The one dataset that was exported, or "".
    files, bytes, sha256
        Of what was written: of a folder the SHA-256 of its list of digests; 0 and "" for a service and a dry run.
    identifiers : sequence of str
        What the service calls it: ``doi:10.5281/zenodo.123``.
    statements : sequence of str
        The `handover` in the log; none for a dry run.
    told : sequence of (label, text)
        What the exporter says.
    damaged : sequence of str
        Stores whose copy turned out to be damaged; the bytes came from another.
    done : bool
        False for a dry run.
    seconds : float
        How long it took.
    """

    form: str
    place: str
    to: str
    packages: Sequence[PackageId]
    dataset: str = ""
    files: int = 0
    bytes: int = 0
    sha256: str = ""
    identifiers: Sequence[str] = ()
    statements: Sequence[str] = ()
    told: Sequence[tuple[str, str]] = ()
    damaged: Sequence[str] = ()
    done: bool = True
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": True,  # what cannot be exported raises
            "done": self.done,
            "form": self.form,
            "path": self.place,
            "to": self.to,
            "packages": [str(one) for one in self.packages],
            "dataset": self.dataset or None,
            "files": self.files,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "identifiers": list(self.identifiers),
            "statement": self.statements[0] if self.statements else "",
            "told": dict(self.told),
            "damaged": list(self.damaged),
            "seconds": round(self.seconds, 3),
        }


def chosen(offers: Sequence[ExporterOffer], name: str, kind: str) -> ExporterOffer:
    """The exporter of a name, which takes such a thing: a package, a dataset, a search. Raises `UsageError`."""
    found = next((offer for offer in offers if offer.name == name), None)
    if found is None:
        known = ", ".join(sorted(offer.name for offer in offers)) or "none"
        raise UsageError(f"there is no form '{name}' to export to", next=f"There are zip, {known}: diadem plugins")
    if kind not in found.takes:
        raise UsageError(f"'{name}' exports no {kind}", next=f"It takes a {' or a '.join(found.takes)}.")
    return found


def checked_options(offer: ExporterOffer, options: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Options, or texts of them, as the exporter is given them. Raises `UsageError` for those its schemas refuse."""
    import jsonschema

    given = options if isinstance(options, Mapping) else _options_of(offer, options)
    if unknown := sorted(given.keys() - offer.options.keys()):
        known = first_of(sorted(offer.options), 20) or "none"
        raise UsageError(f"'{offer.name}' has no option '{unknown[0]}'", next=f"It has {known}.")
    for name, value in given.items():
        error = next(jsonschema.Draft202012Validator(dict(offer.options[name])).iter_errors(value), None)
        if error is not None:
            about = str(offer.options[name].get("description", ""))
            raise UsageError(f"option '{name}' of '{offer.name}': {error.message[:300]}", next=about)
    defaults = {name: schema["default"] for name, schema in offer.options.items() if "default" in schema}
    return {**defaults, **given}


def _options_of(offer: ExporterOffer, texts: Sequence[str]) -> dict[str, Any]:
    """Options as people write them: ``files=true``, ``publish``, ``atom_types=Si,O`` for a list."""
    found: dict[str, Any] = {}
    for text in texts:
        name, given, value = text.partition("=")
        name = name.strip().replace("-", "_")
        kind = offer.options.get(name, {}).get("type", "string")
        try:
            found[name] = _READ.get(kind, str)(value.strip() if given else "true")
        except (KeyError, ValueError):
            raise UsageError(f"option '{name}' of '{offer.name}' is a {kind}, not '{value}'") from None
    return found


_READ: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: {"true": True, "yes": True, "false": False, "no": False}[text.lower()],
    "integer": int,
    "number": float,
    "array": lambda text: [part.strip() for part in text.split(",") if part.strip()],
}


class FormStage:
    """The place beside its last one where a file or folder is written. One process alone is at a place: see `alone`.

    Raises `Refused` where something has the name, `StoreError` where nothing can be written.
    """

    def __init__(self, offer: ExporterOffer, last: Path) -> None:
        self.last = last
        self._is_folder = offer.writes == "folder"
        self._require_free()
        self._folder = last.with_name(f".{last.name}.part")
        with translated(str(last.parent), _NOTHING):
            remove_tree(self._folder)
            os.mkdir(long_path(self._folder))
        self.path = self._folder / f"export{offer.suffix}"
        if self._is_folder:
            self.path.mkdir()

    def finish(self, read: Callable[[int], None]) -> Finished:
        """Force everything to disk, and read it back; `read` is told how many bytes each block has.

        Raises `PluginError` where the exporter wrote something else than it said.
        """
        with translated(str(self.last), _NOTHING):
            if self.path.is_symlink() or not self.path.exists():
                raise PluginError("the exporter wrote nothing", where=str(self.last))
            if self.path.is_file():
                flush_file(long_path(self.path))
                size, digest = _digest(self.path, read)
                return Finished(size, 1, digest)
            total, count, listed = 0, 0, hashlib.sha256()
            for folder, folders, files in os.walk(long_path(self.path)):
                folders.sort()
                for name in sorted(files):
                    path = Path(folder, name)
                    if path.is_symlink():
                        raise PluginError("the exporter wrote a link, which leads nowhere elsewhere", where=name)
                    flush_file(str(path))
                    size, digest = _digest(path, read)
                    total, count = total + size, count + 1
                    relative = os.path.relpath(path, long_path(self.path)).replace(os.sep, "/")
                    listed.update(f"{digest}  {relative}\n".encode("utf-8", "surrogateescape"))
                flush_folder(folder)
            return Finished(total, count, listed.hexdigest())

    def publish(self) -> None:
        """Give it its name. Raises `Refused` where something else has taken that."""
        with translated(str(self.last), _NOTHING):
            if self._is_folder:
                self._require_free()
                if is_empty_folder(self.last):
                    os.rmdir(long_path(self.last))
                move(self.path, self.last)
            elif not give_name(self.path, self.last):
                refuse_existing(self.last)
            with contextlib.suppress(OSError):  # it is there, whatever becomes of the folder's own entry
                flush_folder(long_path(self.last.parent))
                remove_tree(self._folder)

    def _require_free(self) -> None:
        """Raise `Refused` where something has the name; where a folder is to be written an empty one may have it."""
        if not (self._is_folder and is_empty_folder(self.last)):
            refuse_existing(self.last)

    def discard(self) -> bool:
        """Remove what was written; False where it has its name already, and stays."""
        there = os.path.lexists(long_path(self.path))
        with contextlib.suppress(OSError):
            remove_tree(self._folder)
        return there


def is_empty_folder(path: Path) -> bool:
    """Whether a folder, and no link to one, is there and holds nothing."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _digest(path: Path, read: Callable[[int], None]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with open(long_path(path), "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
            read(len(block))
    return size, digest.hexdigest()


def write(
    offer: ExporterOffer,
    source: ExportSource,
    path: Path,
    options: Mapping[str, Any],
    listener: Listener,
    *,
    state: Callable[[Finished], None] = lambda _written: None,
    withdraw: Callable[[BaseException], None] = lambda _error: None,
) -> dict[str, Any]:
    """Write a file or folder whole or not at all: ``files``, ``bytes``, ``sha256``, ``told``.

    `state` is called when all of it lies on the disk and before it has its name, `withdraw` where it never gets that.
    """
    stage = FormStage(offer, path)
    try:
        told = run(offer, source, ExportTarget(stage.path, name=path.name), options)
        written = stage.finish(lambda count: listener(Progress("read back", count, count, path.name)))
        state(written)
        stage.publish()
    except BaseException as error:
        if stage.discard():
            withdraw(error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped; nothing was exported", where=str(path)) from error
        raise
    return {"files": written.files, "bytes": written.bytes, "sha256": written.sha256, "told": told}


def run(
    offer: ExporterOffer, source: ExportSource, goal: ExportTarget, options: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Call an exporter; what it tells the user. A failure of its own is a `PluginError` that names it."""
    with _attributed(offer), translated(goal.url or str(goal.path), _NOTHING):
        said = target(offer.export)(source, goal, **options)
        return [(str(label), str(text)) for label, text in dict(said or {}).items()]


@contextlib.contextmanager
def _attributed(offer: ExporterOffer) -> Iterator[None]:
    try:
        yield
    except DiademError:
        raise
    except Exception as error:  # whatever a plugin raises
        words = " ".join(str(error).split())[:300]
        raise PluginError(f"the exporter '{offer.name}' failed: {type(error).__name__}: {words}") from error
