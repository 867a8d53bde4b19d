"""Giving the payload back: proven bytes under their original names.

A new folder appears whole or not at all. Into an empty one that is there, which may be a disk of its own, the files
come one after the other once all of them are proven and written: a machine that dies in that moment leaves some of them
there, and the others in `.diadem-….part` beside them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from diadem.errors import DocumentError, Interrupted, NotFound, Refused, UsageError
from diadem.export.names import target_names
from diadem.model.display import Display
from diadem.model.manifest import FileEntry
from diadem.model.names import unsafe
from diadem.model.ports import Listener, Meter
from diadem.model.record import Record, understood
from diadem.store.copy import write_with_holes
from diadem.store.stage import remove_tree
from diadem.store.system import discard, flush_folder, flush_tree, long_path, make_deep, or_else, patiently, translated

if TYPE_CHECKING:
    from diadem.archive.package import Package


_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Restored(Display):
    """What was given back: the folder, the number of files and bytes, and the files that kept their stored name.

    A name that this system cannot hold stays as stored; `renamed` lists the stored paths. `selection` says what was
    chosen where not all was wanted.
    """

    _display_keys = ("folder", "files", "bytes", "renamed")

    folder: Path
    files: int
    bytes: int
    renamed: Sequence[str]
    selection: Selection | None = None


class Readable(Protocol):
    """Proven bytes, from their beginning."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; empty at the end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file to be given back, and what opens it."""

    entry: FileEntry
    open: Callable[[], AbstractContextManager[Readable]]


def restore(package: Package, folder: Path, *, only: Sequence[str] | str = (), listener: Listener) -> Restored:
    """See `Package.restore`."""
    pieces = [Piece(entry, partial(package.open, entry.name)) for entry in package.files]
    return restore_pieces(pieces, lambda: sealed_records([package]), folder, only=only, listener=listener)


def sealed_records(packages: Iterable[Package]) -> Iterator[Record]:
    """The records of packages; one without, or with one of a later version, gives its files all the same."""
    for package in packages:
        try:
            record = package.sealed_record
        except (DocumentError, NotFound):
            continue
        yield record


def restore_pieces(
    pieces: Sequence[Piece],
    records: Callable[[], Iterable[Record]],
    folder: Path,
    *,
    only: Sequence[str] | str = (),
    listener: Listener,
) -> Restored:
    """Give files back, of one package or of several: of two that want the same place the first gets it.

    With `only` those that it means, see `select`. The records of their packages say which files belong together, and
    which folders held nothing: these come back where everything does.
    """
    chosen = select([piece.entry for piece in pieces], only, records()) if only else None
    if chosen is not None:
        pieces = [piece for piece in pieces if piece.entry.name in chosen.names]
    folder = Path(os.path.realpath(folder))
    existed = os.path.lexists(folder)
    with translated(str(folder), "nothing was restored"):
        if existed and (not folder.is_dir() or any(folder.iterdir())):
            raise Refused("the target exists already and is not empty", where=str(folder), next="Name a new folder.")
        if any((parent / "bagit.txt").exists() for parent in (folder, *folder.parents)):
            raise Refused("the target is inside a package", where=str(folder), next="Name a folder outside it.")
    # Inside a folder that is there (it may be a disk of its own, or where the user stands), else beside the new one.
    draft = (folder if existed else folder.parent) / f".diadem-{uuid.uuid4().hex[:8]}.part"
    try:
        with or_else(lambda: remove_tree(draft)):
            restored = _fill(pieces, tuple if chosen is not None else records, draft, listener)
            with translated(str(folder), "nothing was restored"):
                _publish(draft, folder, existed=existed)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "restoring was stopped; nothing was left behind", where=str(folder), next="Run the same command again."
        ) from error
    return Restored(folder, *restored, chosen)


def empty_folders(records: Iterable[Record], files: Iterable[str]) -> Iterator[str]:
    """Folders of packages that held nothing; one that has become one of the files since is none any more."""
    files = set(files)
    for record in records:
        for folder in record.empty_dirs:
            parts = folder.split("/")
            if files.isdisjoint("/".join(parts[:depth]) for depth in range(1, len(parts) + 1)):
                yield folder


def _publish(draft: Path, folder: Path, *, existed: bool) -> None:
    if not existed:
        patiently(lambda: os.rename(long_path(draft), long_path(folder)))  # noqa: PTH104
        flush_folder(long_path(folder.parent))
        return
    moved: list[Path] = []

    def take_out() -> None:
        for path in moved:
            if os.path.isdir(long_path(path)):  # noqa: PTH112
                remove_tree(path)
            else:
                discard(str(path))

    with or_else(take_out):
        for name in os.listdir(long_path(draft)):
            source, target = long_path(draft / name), long_path(folder / name)
            patiently(lambda source=source, target=target: os.rename(source, target))  # type: ignore[misc]  # noqa: PTH104
            moved.append(folder / name)
        flush_folder(long_path(folder))
    with contextlib.suppress(OSError):  # it is empty
        remove_tree(draft)


def _fill(
    pieces: Sequence[Piece], records: Callable[[], Iterable[Record]], draft: Path, listener: Listener
) -> tuple[int, int, list[str]]:
    total = sum(piece.entry.size for piece in pieces)
    names = target_names([piece.entry for piece in pieces], system=sys.platform)
    meter, written, folders = Meter("restore", total, listener), [], [str(draft)]
    with translated(str(draft.parent), "nothing was restored"):
        os.makedirs(long_path(draft))  # noqa: PTH103
    for piece, name in zip(pieces, names, strict=True):
        target = str(draft / name)
        _make_folder(draft, os.path.dirname(target))  # noqa: PTH120
        for count in _copy(piece, target):
            meter.add(count, piece.entry.name)
        written.append(long_path(target))
        folders.append(os.path.dirname(target))  # noqa: PTH120
    for name in empty_folders(records(), (piece.entry.name for piece in pieces)):
        if unsafe(name) is None and ":" not in name:  # it comes from the record, and stays inside on every system
            _make_folder(draft, str(draft / name))
    with translated(str(draft.parent), "nothing was restored"):
        flush_tree(long_path(draft), written, [long_path(folder) for folder in dict.fromkeys(folders)])
    renamed = [
        piece.entry.name
        for piece, name in zip(pieces, names, strict=True)
        if name.encode("utf-8", "surrogateescape") != piece.entry.original_name
    ]
    return len(pieces), total, renamed


def _make_folder(draft: Path, folder: str) -> None:
    if os.path.commonpath([str(draft), os.path.abspath(folder)]) != str(draft):  # noqa: PTH100
        raise Refused("the package names a folder outside itself", where=folder, next="Do not trust this package.")
    with translated(folder, "nothing was restored"):
        make_deep(folder)


def _copy(piece: Piece, target: str) -> Iterator[int]:
    entry = piece.entry
    with piece.open() as source:
        with translated(target, "nothing was restored"):
            sink = open(long_path(target), "xb", buffering=0)  # noqa: PTH123, SIM115
        with sink:
            while block := source.read(_BLOCK):
                with translated(target, "nothing was restored"):
                    write_with_holes(sink.fileno(), block)
                yield len(block)
            with translated(target, "nothing was restored"):
                os.ftruncate(sink.fileno(), entry.size)
    # Windows cannot hold every time.
    with translated(target, "nothing was restored"), contextlib.suppress(OverflowError):
        os.utime(long_path(target), ns=(entry.mtime_ns, entry.mtime_ns))


# -- some of the files -----------------------------------------------------------------------------------------------

#: Names that an error proposes.
_PROPOSED = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen: stored names of the files that the patterns mean, and of the others of their datasets."""

    matched: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.matched, *self.companions))


def select(entries: Sequence[FileEntry], only: Sequence[str] | str, records: Iterable[Record]) -> Selection:
    """Choose files, by names, paths, ends of paths, folders, or ids of datasets, in upper or lower case.

    ``*``, ``?`` and ``[…]`` stand for what is not said; records say which files belong together. Raises `NotFound`,
    with the names that come close, where a pattern matches nothing; `UsageError` for an empty one.
    """
    wanted = [only] if isinstance(only, str) else list(only)
    names = {
        entry.name: tuple(dict.fromkeys((_folded(entry.name), _folded(entry.original_name.decode("utf-8", "replace")))))
        for entry in entries
    }
    groups: list[tuple[str, tuple[str, ...]]] = []  # id and files of every dataset, the primary first
    for record in records:
        for _, dataset in understood(record.datasets):
            others = [one.path for one in dataset.files if one.path != dataset.path]
            groups.append((dataset.id, (dataset.path, *others)))
    matched: dict[str, None] = {}
    for pattern in wanted:
        text = _folded(pattern.replace("\\", "/")).removeprefix("./").rstrip("/")
        if not text:
            raise UsageError("an empty name matches no file", next='Example: --only "HAADF*"')
        # A name with brackets means itself before it means a pattern; a folder of the session may be called data.
        ways = [(one, means) for one in dict.fromkeys((text, text.removeprefix("data/"))) for means in (_is, _fits)]
        found: list[str] = []
        for one, means in ways:
            found = found or [name for name, spelled in names.items() if any(means(one, each) for each in spelled)]
        found = found or [primary for id_, (primary, *_) in groups if id_ == text and primary in names]
        if not found:
            raise NotFound(f"no file is called '{pattern}'", next=_hint(text, names))
        matched |= dict.fromkeys(found)
    companions = dict.fromkeys(
        name for _, files in groups if not matched.keys().isdisjoint(files) for name in files if name in names
    )
    return Selection(tuple(matched), tuple(name for name in companions if name not in matched))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _is(text: str, path: str) -> bool:
    """Whether a text is a path, the end of one, or a folder in it."""
    whole = f"/{path}"
    return whole.endswith(f"/{text}") or f"/{text}/" in whole


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern fits a path, or the end of one."""
    return fnmatchcase(f"/{path}", f"*/{pattern}")


def _hint(text: str, names: dict[str, tuple[str, ...]]) -> str:
    last = text.rpartition("/")[2].strip("*?")
    holding = [name for name, spelled in names.items() if last and any(last in one for one in spelled)]
    near = holding or get_close_matches(text, [spelled[0] for spelled in names.values()], _PROPOSED, 0.5)
    near = near or get_close_matches(
        last, [spelled[0].rpartition("/")[2] for spelled in names.values()], _PROPOSED, 0.5
    )
    if not near:
        first = ", ".join(list(names)[:_PROPOSED])
        return f"It holds {first}{', …' if len(names) > _PROPOSED else ''}" if first else "It holds no file."
    more = ", …" if len(near) > _PROPOSED else ""
    stars = f' With * for what comes before and after: "*{last}*"' if holding and "*" not in text else ""
    return f"Did you mean {', '.join(near[:_PROPOSED])}{more}?{stars}"
