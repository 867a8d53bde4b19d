"""One look at a folder: names, sizes and times of what lies in it, and what its files' own headers promise."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from diadem.errors import NotFound
from diadem.model.display import Display
from diadem.store.disks import is_network_folder
from diadem.store.source import Omission, walk
from diadem.store.system import long_path

if TYPE_CHECKING:
    from diadem.hooks.offers import ReaderOffer


_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


#: Endings of files that are being written or copied, or that lock another one, in lower case.
_ENDINGS: Final = {
    ".tmp": "a temporary file",
    ".lock": "a lock",
    ".lck": "a lock",
    ".part": "a file that is being copied",
    ".partial": "a file that is being copied",
    ".filepart": "a file that is being copied",  # WinSCP
    ".crdownload": "a file that is being downloaded",  # Chrome
    ".aria2": "a file that is being downloaded",
}
_PATTERNS: Final = (
    (re.compile(r"~\$."), "the lock of Microsoft Office"),
    (re.compile(r"\.~lock\..*#\Z"), "the lock of LibreOffice"),
    (re.compile(r"~.*\.(?:tmp|dm[34])\Z", re.IGNORECASE), "a temporary file"),
    (re.compile(r".*\.~[0-9a-f]{1,8}\Z"), "a file that Nextcloud is copying"),
)
#: ``.scan.dm4.a1B2c3``: rsync puts six random characters behind the name with a dot before it.
_RSYNC: Final = re.compile(r"\..+\.[A-Za-z0-9]{1,5}\.(?=[A-Za-z]*[A-Z0-9])[A-Za-z0-9]{6}\Z")
#: What a person who only looks makes: no change of the session.
_BROWSING: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".directory", "ehthumbs.db"})


class Seen(NamedTuple):
    """A file as the system describes it: bytes, and the later of its times of content and status, ns since 1970."""

    size: int
    mtime_ns: int
    changed_ns: int

    @property
    def newest_ns(self) -> int:
        """The later of both times. On Windows the second is the time of creation, which is new for a fresh copy."""
        return max(self.mtime_ns, self.changed_ns)


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is looked: this machine's clock, UTC, and its clock that nobody sets, in seconds."""

    now: datetime.datetime
    steady: float
    #: Whether the file system's clock is this machine's; None: that of a local disk is.
    own_clock: bool | None = None


@dataclass(frozen=True, slots=True)
class Look(Display):
    """What one walk through a folder saw."""

    root: Path
    #: 64 hex digits over names, sizes and times: two looks are equal if these are.
    digest: str
    #: The newest time of any file or folder, nanoseconds since 1970.
    newest_ns: int
    #: This machine's clock, UTC, and its clock that nobody sets, in seconds.
    taken: datetime.datetime
    steady: float
    #: Whether the file system's clock is this machine's.
    own_clock: bool
    #: By path relative to the folder; empty for a look that was remembered.
    files: Mapping[str, Seen] = field(default_factory=dict, repr=False)
    #: Files that another program has open for writing (Windows), with words.
    in_use: Mapping[str, str] = field(default_factory=dict)
    #: Files that are shorter than their headers promise, with words; see `examined`.
    short: Mapping[str, str] = field(default_factory=dict)

    @property
    def moment(self) -> Moment:
        """When it was made."""
        return Moment(self.taken, self.steady, self.own_clock)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(seen.size for seen in self.files.values())

    def same(self, other: Look) -> bool:
        """Whether the folder looked the same."""
        return self.digest == other.digest

    def since(self, earlier: Look) -> datetime.timedelta:
        """Time between two looks: the shorter of what both clocks say; the steady one begins anew with the machine."""
        wall = max(self.taken - earlier.taken, datetime.timedelta())
        steady = datetime.timedelta(seconds=self.steady - earlier.steady)
        return wall if steady < datetime.timedelta() else min(wall, steady)

    def age(self, ns: int) -> datetime.timedelta:
        """How old a time is by this machine's clock."""
        return self.taken - _moment(ns)

    def to_dict(self) -> dict[str, Any]:
        """What is remembered of it."""
        return {
            "digest": self.digest,
            "newest_ns": self.newest_ns,
            "taken": self.taken.isoformat(),
            "steady": self.steady,
            "own_clock": self.own_clock,
        }

    @classmethod
    def from_dict(cls, root: Path, document: Mapping[str, Any]) -> Look:
        """A look that was remembered. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        return cls(
            root=root,
            digest=str(document["digest"]),
            newest_ns=int(document["newest_ns"]),
            taken=datetime.datetime.fromisoformat(document["taken"]).astimezone(datetime.UTC),
            steady=float(document["steady"]),
            own_clock=bool(document["own_clock"]),
        )


def look(folder: Path, moment: Moment, *, parts: Collection[Path] = ()) -> Look:
    """Look at a folder, or at one file. Raises `NotFound`.

    Where the session is only `parts` of the folder, locks beside them count, other files do not.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100
    if not os.path.lexists(long_path(root)):
        raise NotFound("there is no such file or folder", where=str(root), next="Check the path.")
    if not os.path.isdir(long_path(root)):  # noqa: PTH112
        root, parts = root.parent, [root]
    walker = _Walker(root, [Path(os.path.abspath(part)) for part in parts])  # noqa: PTH100
    walk(walker, str(root), deep=not parts or any(part.parent != root for part in walker.parts))
    return _looked(root, moment, walker.files, walker.left_out, walker.newest_ns)


def look_at_files(root: Path, files: Mapping[str, os.stat_result], moment: Moment) -> Look:
    """The look of files of one folder that was listed a moment ago, by name; locks beside them are among them."""
    seen = {name: Seen(one.st_size, one.st_mtime_ns, one.st_ctime_ns) for name, one in files.items()}
    return _looked(root, moment, seen)


def _looked(
    root: Path,
    moment: Moment,
    found: Mapping[str, Seen],
    left_out: Mapping[str, str] = MappingProxyType({}),
    newest_ns: int = 0,
) -> Look:
    files = dict(sorted(found.items()))
    steps = [f"{name}\0{seen.size}\0{seen.mtime_ns}\0{seen.changed_ns}\n" for name, seen in files.items()]
    steps += [f"{name}\0{kind}\n" for name, kind in sorted(left_out.items())]
    return Look(
        root=root,
        digest=hashlib.sha256(os.fsencode("".join(steps))).hexdigest(),
        newest_ns=max([newest_ns, *(seen.newest_ns for seen in files.values())]),
        taken=moment.now,
        steady=moment.steady,
        own_clock=is_network_folder(root) is None if moment.own_clock is None else moment.own_clock,
        files=files,
        in_use=dict(_in_use(root, files)),
    )


class _Walker:
    """Takes what `walk` finds."""

    def __init__(self, root: Path, parts: Sequence[Path]) -> None:
        self.parts = parts
        self.files: dict[str, Seen] = {}
        self.left_out: dict[str, str] = {}
        self.newest_ns = 0
        self._wanted = {os.fsencode(part.relative_to(root).as_posix()) for part in parts if part.is_relative_to(root)}
        self._places = {name.rpartition(b"/")[0] for name in self._wanted}

    def enter(self, name: bytes, path: str, entries: Sequence[os.DirEntry[str]]) -> bool:  # noqa: ARG002
        """Every folder is looked into; where all of it is meant its own time counts, which tells of names that went."""
        if not self.parts:
            with contextlib.suppress(OSError):
                self.newest_ns = max(self.newest_ns, os.stat(long_path(path)).st_mtime_ns)  # noqa: PTH116
        return True

    def file(self, name: bytes, path: str, status: os.stat_result) -> None:  # noqa: ARG002
        """Take a plain file."""
        folder, _, last = name.rpartition(b"/")
        plain = os.fsdecode(last)
        beside = folder in self._places and at_work(plain) is not None
        if only_browsing(plain) or (self.parts and name not in self._wanted and not beside):
            return
        self.files[os.fsdecode(name)] = Seen(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def empty(self, name: bytes) -> None:
        """An empty folder is counted by the time of the one above it."""

    def omit(self, omission: Omission) -> None:
        """What cannot be archived is told by whoever archives the rest; where it is mended, the folder has changed."""
        if not self.parts:
            self.left_out[os.fsdecode(omission.name)] = omission.kind


def examined(seen: Look, readers: Sequence[ReaderOffer]) -> Look:
    """The look with the files that are shorter than they say. A worker opens the files of known formats."""
    from diadem.extract.pool import Extractor
    from diadem.extract.survey import survey

    plans = [plan for plan in survey(((name, one.size) for name, one in seen.files.items()), readers) if plan.offers]
    if not plans:
        return seen
    short: dict[str, str] = {}
    with Extractor(readers, lasting=os.name != "nt") as extractor:
        for plan, found in extractor.extract_many(plans, Path(long_path(seen.root)), preview=False, sizes_only=True):
            told = (str(issue["message"]) for issue in found.issues if issue["code"] == "truncated")
            if words := next(told, ""):
                short[plan.primary.path] = words
    return replace(seen, short=short)


if sys.platform == "win32":
    import ctypes

    _GENERIC_READ, _SHARE_READ, _OPEN_EXISTING, _SHARING_VIOLATION = 0x80000000, 1, 3, 32  # winbase.h, winerror.h

    def _in_use(root: Path, files: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Files that cannot be opened while allowing others to read only: somebody has them open for writing."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = ctypes.c_void_p
        for name in files:
            path = long_path(root / name)
            handle = kernel.CreateFileW(path, _GENERIC_READ, _SHARE_READ, None, _OPEN_EXISTING, 0, None)
            if handle not in (None, ctypes.c_void_p(-1).value):
                kernel.CloseHandle(ctypes.c_void_p(handle))
            elif ctypes.get_last_error() == _SHARING_VIOLATION:
                yield name, "another program has it open"

else:

    def _in_use(root: Path, files: Iterable[str]) -> Iterator[tuple[str, str]]:  # noqa: ARG001
        """Nothing is known of this where files are not locked by opening them."""
        yield from ()


def _moment(ns: int) -> datetime.datetime:
    """A time of a file; one beyond the calendar is as far away as the calendar goes."""
    try:
        return datetime.datetime.fromtimestamp(ns / 1e9, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return _LAST if ns > 0 else _FIRST


def at_work(name: str) -> str | None:
    """What the last part of a path says of somebody at work, in words; None where it says nothing."""
    for pattern, words in _PATTERNS:
        if pattern.match(name):
            return words
    dot = name.rfind(".")
    known = _ENDINGS.get(name[dot:].lower()) if dot >= 0 else None
    return known or ("a file that rsync is copying" if _RSYNC.match(name) else None)


def only_browsing(name: str) -> bool:
    """Whether a file is made by looking at a folder, so that its change is none of the session."""
    return name.lower() in _BROWSING or name.startswith("._")
