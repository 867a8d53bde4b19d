"""The two ZIPs among a package's tag files. The same content gives the same bytes.

`diadem/vendor.zip` keeps vendor metadata whole, members named by their SHA-256: `VendorArchive` writes one, `Vault`
reads the blocks of a record. `diadem/previews.zip` keeps small pictures by the ids of their datasets.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

from diadem.errors import IntegrityError
from diadem.model.manifest import VENDOR_PATH
from diadem.serialization import typed_json
from diadem.serialization.zip_list import UNREADABLE, open_zip

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: no time of ours enters the package
#: Deflate's quickest level: half as large again as its best, and five times as fast.
_LEVEL = 1
#: Bytes of one content. Extraction keeps none above 8 MiB.
LARGEST = 64 << 20
_PIECE = 1 << 20
_PICTURES = ((b"\x89PNG\r\n\x1a\n", "png", "image/png"), (b"\xff\xd8\xff", "jpg", "image/jpeg"))
_NAME = re.compile(r"d([1-9][0-9]{0,8})\.(?:png|jpg)\Z")
#: Bytes of all pictures of a package, and of one that is read.
_BUDGET, _LARGEST_PICTURE = 2 << 20, 1 << 20


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

    Raises `KeyError` where there is none of this name, `ValueError` where it is something else or too large.
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


class Vault:
    """Where a record's vendor blocks are: an archive at hand, or what reads a package's when the first is asked for."""

    def __init__(self, archive: bytes | Callable[[], bytes]) -> None:
        self._archive = archive

    def read(self, digest: str) -> bytes:
        """The block with this SHA-256. Raises `IntegrityError` where it is not there or damaged."""
        archive = self._archive  # looked at once: another thread may put the bytes in its place
        if not isinstance(archive, bytes):
            archive = self._archive = archive()
        try:
            return member(archive, digest)
        except (KeyError, ValueError) as error:
            advice = "Verify the package."
            raise IntegrityError(f"the block {digest[:12]}… cannot be read", where=VENDOR_PATH, next=advice) from error

    def parsed(self, data: bytes) -> Any:
        """The tree that typed JSON stands for."""
        return typed_json.decode(data)


# -- previews ----------------------------------------------------------------------------------------------------------


def previews_zip(pictures: Iterable[tuple[str, bytes | None]]) -> bytes:
    """The pictures that fit, PNG and JPEG, by the id of their dataset, in order; b"" where there are none."""
    left, buffer = _BUDGET, io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored: a picture is compressed already
        for dataset, picture in pictures:
            suffix, _ = picture_kind(picture)
            if picture and suffix and len(picture) <= min(left, _LARGEST_PICTURE):
                archive.writestr(zipfile.ZipInfo(f"{dataset}.{suffix}", _EPOCH), picture)
                left -= len(picture)
    return buffer.getvalue() if left < _BUDGET else b""


def previews_in(data: bytes) -> dict[int, bytes]:
    """The pictures by index of their dataset, whose id counts from 1. What is no picture of ours is passed over."""
    found = {}
    with contextlib.suppress(*UNREADABLE), open_zip(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = _NAME.match(info.filename)
            if name and info.compress_type == zipfile.ZIP_STORED and info.file_size <= _LARGEST_PICTURE:
                picture = archive.read(info)
                if any(picture_kind(picture)):
                    found[int(name[1]) - 1] = picture
    return found


def picture_kind(picture: bytes | None) -> tuple[str, str]:
    """Suffix and media type of a PNG or JPEG; "" each for anything else, which is shown nowhere."""
    found = (kind for magic, *kind in _PICTURES if picture and picture.startswith(magic))
    suffix, media = next(found, ("", ""))
    return suffix, media
