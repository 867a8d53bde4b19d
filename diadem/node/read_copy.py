"""Reading one copy whole, on any machine: what is wrong with it is a finding; no answer is no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diadem.errors import DiademError, Interrupted, Unreachable
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Bundle, BundleAround, Listener, RangeReader, ReaderAround, silent
from diadem.model.report import Finding, Level, Report, Severity
from diadem.node.follow.package_log import COPY_MISSING
from diadem.package.examine import LIMITS
from diadem.package.verify import verify
from diadem.store.contract import Pace
from diadem.trust.hashing import sha256_hex

#: The code of a finding that says that the system refuses to list a copy which may well be there.
_COPY_UNREADABLE = "copy-unreadable"
#: Findings after which nothing was read of a copy.
UNREAD = frozenset({COPY_MISSING, _COPY_UNREADABLE})


@dataclass(frozen=True, slots=True)
class CopyRead:
    """What was found of a copy.

    `report` is None where it gave no answer, and `silence` says why; `found` is the id of the package that lies at its
    place, where that is another one.
    """

    report: Report | None
    found: str = ""
    silence: str = ""


def read_copy(
    bundle: Callable[[], Bundle],
    package_id: str,
    path: str,
    *,
    level: Level,
    pace: Pace | None = None,
    listener: Listener = silent,
) -> CopyRead:
    """Read a copy whole, and where it is not right, look which package lies at its place.

    Raises
    ------
    Unreachable
        The store does not answer: nothing is said of the copy.
    """
    report, found = prove(bundle, package_id, path, level=level, pace=pace, listener=listener), ""
    if not report.ok:
        try:
            found = package_at(bundle())
        except Unreachable:
            raise
        except (DiademError, OSError):  # where nothing lies there, no other package does
            found = ""
    return CopyRead(report, found if found != package_id else "")


def prove(
    bundle: Callable[[], Bundle],
    package_id: str,
    path: str,
    *,
    level: Level,
    pace: Pace | None = None,
    listener: Listener = silent,
) -> Report:
    """Read a copy and compare every byte with what was sealed. What cannot be read is a finding, never an exception.

    `bundle` gives the files of the copy; `package_id` and `path` say what it should be, and where it lies in its store.

    Raises
    ------
    Unreachable
        The store does not answer: nothing is said of the copy.
    """
    try:
        files = bundle()
        return verify(
            files if pace is None else PacedBundle(files, pace), level=level, expected_id=package_id, listener=listener
        )
    except (Interrupted, Unreachable):  # no answer is no answer: nothing is known of the copy
        raise
    except (DiademError, OSError) as error:
        code = COPY_MISSING if isinstance(error, DiademError) else _COPY_UNREADABLE
        message = error.message if isinstance(error, DiademError) else str(error)
        finding = Finding(Severity.ERROR, code, f"the copy cannot be read: {message}", next="Run: diadem repair")
        return Report(path, level, [finding], package_id)


def id_at(bundle: Bundle) -> str:
    """The id that the tag manifest at a place gives, sound or not; the errors of reading it are raised."""
    return "diadem:" + sha256_hex(bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST]))


def package_at(bundle: Bundle) -> str:
    """The id of the package that lies at a place; "" where there is none that can be read. Raises `Unreachable`."""
    try:
        return id_at(bundle)
    except Unreachable:
        raise
    except (DiademError, OSError):
        return ""


class PacedBundle(BundleAround):
    """A bag read no faster than a rate, which others may share, so that a check leaves them the disk or the line."""

    def __init__(self, bundle: Bundle, pace: Pace) -> None:
        super().__init__(bundle)
        self._pace = pace

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file."""
        data = super().read(path, limit)
        self._pace.wait(len(data))
        return data

    def open(self, path: str) -> RangeReader:
        """Random access to a file."""
        return _PacedReader(super().open(path), self._pace)


class _PacedReader(ReaderAround):
    def __init__(self, reader: RangeReader, pace: Pace) -> None:
        super().__init__(reader)
        self._pace = pace

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        self._pace.wait(len(data))
        return data

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        count = super().readinto_at(offset, buffer)
        self._pace.wait(count)
        return count
