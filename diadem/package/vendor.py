"""`diadem/vendor.zip`: vendor metadata kept whole, members named by their SHA-256. The same content, the same bytes."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib

from diadem.serialization.zip_list import open_zip

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: no time of ours enters the package
#: Deflate's quickest level: half as large again as its best, and five times as fast.
_LEVEL = 1
#: Bytes of one content. Extraction keeps none above 8 MiB.
LARGEST = 64 << 20
_PIECE = 1 << 20
#: What `zipfile` raises for an archive that is damaged, encrypted, or of a kind that nobody here writes.
UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError,
    struct.error,
)  # fmt: skip


class _Buffer(io.BytesIO):
    """Memory that stays open until it is gone: an archive that is given up may still want to write its end."""

    def close(self) -> None:
        """Nothing to release."""


class VendorArchive:
    """The archive as it grows: each content once, in the order in which it came."""

    def __init__(self) -> None:
        self._buffer = _Buffer()
        self._zip = zipfile.ZipFile(self._buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._names: set[str] = set()

    def add(self, data: bytes) -> str:
        """Keep a content; its SHA-256 in 64 hex digits is its name."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._names:
            self._names.add(digest)
            member = zipfile.ZipInfo(digest, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            self._zip.writestr(member, data, compresslevel=_LEVEL)
        return digest

    def close(self) -> bytes:
        """The whole archive; nothing can be added any more."""
        self._zip.close()
        return self._buffer.getvalue()


def member(archive: bytes, digest: str) -> bytes:
    """One content of an archive, proven against its name.

    Raises
    ------
    KeyError
        There is none of this name.
    ValueError
        What is there is something else, or has more than `LARGEST` bytes.
    """
    try:
        with open_zip(io.BytesIO(archive)) as opened:
            data = member_bytes(opened, digest)
    except UNREADABLE as error:
        raise ValueError(f"the archive cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"the member {digest} is damaged")
    return data


def member_bytes(archive: zipfile.ZipFile, name: str | zipfile.ZipInfo) -> bytes:
    """One content, read as it comes and no further than it may be long. Raises what `UNREADABLE` lists."""
    data = bytearray()
    with archive.open(name) as content:
        while piece := content.read(_PIECE):
            data += piece
            if len(data) > LARGEST:
                raise zipfile.LargeZipFile(f"{content.name} has more than {LARGEST >> 20} MiB")
    return bytes(data)
