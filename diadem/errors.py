"""Every error DIADEM raises on purpose, in one tree.

::

    DiademError
    ├── UsageError          (2)  the call cannot mean anything: wrong option, no file in the folder
    │   ├── DocumentError        metadata or a record that its schema refuses; names path, rule, example
    │   └── UnknownField         a field that no record has, with names like it (in `terms.fields`)
    ├── NotFound            (3)  also a FileNotFoundError
    ├── Refused             (4)  DIADEM will not do this, and says what would make it possible
    │   └── StoreError           a store that cannot be written to: full, read-only, locked, not keeping what it gets
    ├── Unreachable         (5)  a store or peer that does not answer
    │   └── CarrierFull          a carrier that has no room now (in `model.carriers`)
    ├── Interrupted         (6)  stopped by the user; what was done is kept or swept, and can be resumed
    ├── PackageError        (1)  a bag that cannot be understood
    ├── IntegrityError      (1)  bytes that are not what they were
    │   └── DigestMismatch       names file, leaf and byte range; also an OSError, for readers built on files
    ├── ReaderError         (1)  an instrument file that cannot be read as what it says it is
    ├── PluginError         (1)  a plugin that failed; the others go on
    └── AmbiguousValue      (1)  several datasets state different values

The number is the exit code of the command line. `QualityWarning` is no error but a warning of Python's. Messages name
commands; as text, an error names the calls that do the same.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from diadem.advice import in_python

#: Files of frames that are no line of the caller: ours, and those of IPython around a cell; how many lines are shown.
_OURS: Final = str(Path(__file__).parent)
_SHELL: Final = f"{os.sep}IPython{os.sep}"
_FRAMES: Final = 4


def _cell(path: str) -> str:
    """A file's name; of a cell of a notebook, which one it is."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    named = shell.compile.format_code_name(path) if shell is not None else None
    return " ".join(named) if named else Path(path).name


def line_of(error: BaseException) -> str:
    """What an error says, on one line."""
    return error.line if isinstance(error, DiademError) else str(error)


class DiademError(Exception):
    """Base of all errors.

    Parameters
    ----------
    message : str
        What happened, in plain words.
    where : str, optional
        The file, path or URL concerned.
    next : str, optional
        What the reader can do now.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, next: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.where = where
        self.next = next

    def __str__(self) -> str:
        """Message, place and next step, on a line each; what to do in the words of Python."""
        lines = [in_python(self.message)]
        lines += [f"  where: {self.where}"] if self.where else []
        lines += [f"  next:  {in_python(self.next)}"] if self.next else []
        return "\n".join(lines)

    @property
    def line(self) -> str:
        """Message, place and next step on one line, with commands, to be quoted in other texts."""
        where = f" [{self.where}]" if self.where else ""
        stop = "" if where or self.message.endswith((".", "?", "!", ":")) else "."
        return f"{self.message}{where}{f'{stop} {self.next}' if self.next else ''}"

    def _render_traceback_(self) -> list[str]:
        """For IPython: which of the caller's own lines led to it, and what it says. ``%debug`` has all frames."""
        frames = [one for one in traceback.extract_tb(self.__traceback__) if _SHELL not in one.filename]
        own = takewhile(lambda one: not one.filename.startswith(_OURS), frames)
        lines = [f"{_cell(one.filename)}, line {one.lineno}: {one.line}" for one in own]
        return [*lines[-_FRAMES:], f"{type(self).__name__}: {self}"]

    def to_dict(self) -> dict[str, Any]:
        """The fixed shape that programs read: code, message, where, next."""
        return {"code": self.code, "message": self.message, "where": self.where, "next": self.next}


class UsageError(DiademError):
    """The call makes no sense."""

    code = "usage"
    exit_code = 2


class DocumentError(UsageError):
    """A document that violates its schema."""

    code = "document"


class NotFound(DiademError, FileNotFoundError):
    """Nothing is there."""

    code = "not-found"
    exit_code = 3


class Refused(DiademError):
    """DIADEM will not do this."""

    code = "refused"
    exit_code = 4


class StoreError(Refused):
    """A store that cannot be written to."""

    code = "store"


class Unreachable(DiademError):
    """A store or peer that does not answer."""

    code = "unreachable"
    exit_code = 5


class Interrupted(DiademError):
    """Stopped by the user; nothing half-made is visible."""

    code = "interrupted"
    exit_code = 6


class PackageError(DiademError):
    """A bag that cannot be understood."""

    code = "package"


class IntegrityError(DiademError):
    """Bytes that have changed."""

    code = "integrity"


class DigestMismatch(IntegrityError, OSError):
    """A leaf or file whose digest is not the recorded one.

    Parameters
    ----------
    message : str
        What was compared.
    where : str
        Path of the file in the bag.
    leaf : int, optional
        Index of the leaf within the file, from 0.
    range : tuple of int, optional
        First byte and end (exclusive) of the damaged region.
    """

    code = "digest-mismatch"

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,  # given by all; an error that comes from another process gets it afterwards
        leaf: int | None = None,
        range: tuple[int, int] | None = None,  # noqa: A002
        next: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(message, where=where, next=next)
        self.leaf = leaf
        self.range = range


class ReaderError(DiademError):
    """An instrument file that cannot be read as what it says it is."""

    code = "reader"


class PluginError(DiademError):
    """A plugin that failed."""

    code = "plugin"


class AmbiguousValue(DiademError, ValueError):
    """Several datasets state different values for one field."""

    code = "ambiguous"


class QualityWarning(UserWarning):
    """The data that were loaded, or their sources, have a warning."""


# -- what the operating system says ------------------------------------------------------------------------------------

_AGAIN = "then run the same command again"
_AWAY = ("the share does not answer", f"Check whether it is mounted, {_AGAIN}.")
_DYING = ("the disk reports an input/output error", f"Check the disk, {_AGAIN}; or choose another one.")
_RIGHTS = ("it may not be written or read here", "Check the permissions, or choose another place.")
_FILES = ("too many files are open", f"End other programs or raise the limit (ulimit -n), {_AGAIN}.")
#: What a disk, a share, a quota or a permission does to a sound program: in words, and what can be done.
_CAUSES = {
    errno.ENOSPC: ("the disk is full", f"Free space, {_AGAIN}; or choose another place."),
    errno.EDQUOT: ("the quota is used up", f"Free space, or ask for more; {_AGAIN}."),
    errno.EROFS: ("the disk is read-only", "Choose a place that can be written to, or make it writable."),
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: ("it is no longer there", f"Check whether its disk is connected, {_AGAIN}."),
    errno.ENOTDIR: ("the store is not a folder", "Name a folder."),
    errno.EEXIST: ("the store is not a folder", "Name a folder."),
    errno.ENAMETOOLONG: ("a path is too long for this file system", "Choose a place with a shorter path."),
    errno.EFBIG: (
        "the file system cannot hold a file of this size (FAT stops at 4 GB)",
        "Choose a disk with another file system: exFAT, NTFS, ext4.",
    ),
    errno.EIO: _DYING,
    errno.ENXIO: _DYING,
    errno.ENODEV: _DYING,
    errno.ESTALE: _AWAY,
    errno.ETIMEDOUT: _AWAY,
    errno.ENOTCONN: _AWAY,
    errno.EHOSTDOWN: _AWAY,
    errno.EHOSTUNREACH: _AWAY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOLCK: ("the file system has no locks left", f"Check whether its lock service runs, {_AGAIN}."),
    errno.ENOMEM: ("there is not enough memory", f"End other programs, {_AGAIN}."),
    errno.ENOSYS: ("the file system cannot do what is needed", "Choose a disk with another file system."),
}
#: Of Windows (winerror.h), whose numbers say more than the few of C that Python makes of them: a bad sector, a stick
#: that was pulled and a file in use are all EACCES there.
_WINDOWS_CAUSES = {
    **dict.fromkeys((32, 33), ("another program has the file open", f"Close that program, or wait for it; {_AGAIN}.")),
    19: _CAUSES[errno.EROFS],
    **dict.fromkeys((21, 23, 25, 27, 29, 30, 31, 1117, 1392), _DYING),
    **dict.fromkeys((39, 112), _CAUSES[errno.ENOSPC]),
    **dict.fromkeys((51, 53, 54, 55, 59, 64, 67, 121, 1231), _AWAY),
    206: _CAUSES[errno.ENAMETOOLONG],
    223: _CAUSES[errno.EFBIG],
    1295: _CAUSES[errno.EDQUOT],
    1450: _CAUSES[errno.ENOMEM],
}
#: Of these, what a program may do wrong too.
_OURS_TOO = frozenset(_CAUSES[code] for code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST))


def cause_of(error: OSError) -> tuple[str, str] | None:
    """What happened and what can be done, in words, for what a machine does to a sound program; else None."""
    return _WINDOWS_CAUSES.get(getattr(error, "winerror", None) or 0) or _CAUSES.get(error.errno or 0)


def machine_error(error: OSError) -> StoreError | None:
    """The error for one of the operating system that came from wherever; None where it may be the program's fault."""
    cause = cause_of(error)
    if cause is None or cause in _OURS_TOO:
        return None
    place = error.filename2 or error.filename
    return StoreError(cause[0], where=None if place is None or isinstance(place, int) else str(place), next=cause[1])


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turn errors of the operating system from wherever into `StoreError`s; what may be the program's fault passes."""
    try:
        yield
    except OSError as error:
        found = None if isinstance(error, DiademError) else machine_error(error)
        if found is None:
            raise
        raise found from error
