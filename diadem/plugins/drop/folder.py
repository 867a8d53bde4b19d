"""A folder that two nodes can reach: what one puts there the other picks up.

::

    <folder>/<relay>/<name>.age                 an object, whole
    <folder>/<relay>/.<name>.<random>.part      one that is being written

It is safe where names appear late and links cannot be made, as on SMB and NFS: an object is written under another name,
forced to disk and then given its own. Anybody may write into the folder, so nothing there is followed or believed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from diadem.errors import NotFound, Refused, Unreachable, UsageError
from diadem.model.carriers import MAX_OBJECT, Carried, CarrierFull
from diadem.model.system_paths import folder_of_url

_SUFFIX: Final = ".age"
_PART: Final = ".part"
#: Things in a folder that are looked at; a folder with more is somebody's joke.
_MOST: Final = 200_000
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
#: No link, and no pipe that would keep the reader waiting.
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | _BINARY


def connect(url: str) -> Folder:
    """The folder of an address: ``drop:///mnt/group``, ``drop:///D:/group``, ``drop://server/share/group``."""
    parts = urlsplit(url)
    absolute = parts.path.startswith("/") and parts.path.strip("/")
    if parts.scheme != "drop" or not absolute or parts.query or parts.fragment:
        raise UsageError(f"'{url}' is not the address of a folder", next="Write drop:///mnt/group")
    return Folder(Path(folder_of_url(url)))


class Folder:
    """Implements `diadem.model.carriers.Carrier` on a folder.

    The folder has to be there: a share that is not mounted is not mistaken for an empty one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """See `Carrier.put`."""
        folder = self._folder(relay)
        with _translated(folder):
            if folder is None:
                folder = self._root / relay
                folder.mkdir(exist_ok=True)
                _require_folder(folder)
                with contextlib.suppress(OSError):  # whoever may write into the root may remove what lies here
                    folder.chmod(stat.S_IMODE(self._root.stat().st_mode))
            target = folder / f"{name}{_SUFFIX}"
            if os.path.lexists(target):
                with contextlib.suppress(NotFound):
                    if _read(target) == data:
                        return
                raise _taken(target)
            part = folder / f".{name}.{secrets.token_hex(4)}{_PART}"
            try:
                # the other node removes it: the folder's own rights say who may
                descriptor = os.open(part, _NEW, 0o666)
                with os.fdopen(descriptor, "wb") as sink:
                    sink.write(data)
                    sink.flush()
                    os.fsync(sink.fileno())
                _give_name(part, target)
            finally:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:  # noqa: ARG002  it is looked at again anyway
        """See `Carrier.ls`: files, of whatever name; links and folders are passed over."""
        folder = self._folder(relay)
        if folder is None:
            return []
        found = []
        with _translated(folder), os.scandir(folder) as entries:
            for entry in itertools.islice(entries, _MOST):
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append(Carried(entry.name.removesuffix(_SUFFIX), size))
        return found

    def get(self, relay: str, name: str) -> bytes:
        """See `Carrier.get`."""
        folder = self._folder(relay)
        if folder is None:
            raise NotFound("there is no such object", where=name)
        with _translated(folder):
            return _read(folder / f"{name}{_SUFFIX}")

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """See `Carrier.remove`."""
        folder = self._folder(relay)
        if folder is None:
            return
        with _translated(folder):
            for name in names:
                (folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def end(self, relay: str) -> None:
        """See `Carrier.end`: objects, and what was being written; a folder that holds more than these stays."""
        folder = self._folder(relay)
        if folder is None:
            return
        with _translated(folder):
            for entry in sorted(folder.iterdir()):
                if entry.suffix in (_SUFFIX, _PART) and not entry.is_dir():
                    entry.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's things are in it
                folder.rmdir()

    def _folder(self, relay: str) -> Path | None:
        """The folder of a relay; None where there is none yet."""
        with _translated(self._root):
            if not self._root.is_dir():
                raise Unreachable("the folder is not there", where=str(self._root), next="Is the share connected?")
            folder = self._root / relay
            if not os.path.lexists(folder):
                return None
            _require_folder(folder)
            return folder


def _require_folder(folder: Path) -> None:
    """That it is a folder itself, no link that leads elsewhere."""
    status = folder.lstat()
    attributes = getattr(status, "st_file_attributes", 0)
    if not stat.S_ISDIR(status.st_mode) or attributes & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0x400):
        raise Refused(
            "there is a link or a file where the folder of a relay is expected",
            where=str(folder),
            next="Remove it, and see who can write into the folder.",
        )


def _taken(target: Path) -> Refused:
    return Refused("another object has this name", where=str(target), next="It will be written again.")


def _give_name(part: Path, target: Path) -> None:
    """Give what was written its name, and never take another's place where the system can tell."""
    try:
        if os.name == "nt":
            part.rename(target)  # fails where something is there
        else:
            os.link(part, target)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        if os.name == "nt" or error.errno in _NO_ROOM or os.path.lexists(target):
            raise
        part.rename(target)  # a file system without links, as on most shares


def _read(path: Path) -> bytes:
    """A file, no further than an object may be, and a byte."""
    try:
        if path.is_symlink():
            raise NotFound("a link is not an object", where=str(path))
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise NotFound("there is no such object", where=str(path)) from None
    with os.fdopen(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotFound("this is not a file", where=str(path))
        return source.read(MAX_OBJECT + 1)


@contextmanager
def _translated(folder: Path | None) -> Iterator[None]:
    """Failures of the system in DIADEM's words."""
    try:
        yield
    except (NotFound, Refused):
        raise
    except OSError as error:
        where, words = str(folder or ""), error.strerror or str(error)
        if error.errno in _NO_ROOM:
            raise CarrierFull(f"the folder is full: {words}", where=where, next="Free space there.") from error
        raise Unreachable(f"the folder fails: {words}", where=where, next="Is the share connected?") from error
