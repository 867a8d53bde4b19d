"""`diadem/previews.zip`: small pictures by the ids of their datasets. The same pictures give the same bytes."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from collections.abc import Iterable

from diadem.serialization.zip_list import UNREADABLE, open_zip

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: no time of ours enters the package
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"))
_NAME = re.compile(r"d([1-9][0-9]{0,8})\.(?:png|jpg)\Z")
#: Bytes of all pictures of a package, and of one that is read.
_BUDGET, _LARGEST = 2 << 20, 1 << 20


def previews_zip(pictures: Iterable[tuple[str, bytes | None]]) -> bytes:
    """The pictures that fit, PNG and JPEG, by the id of their dataset, in order; b"" where there are none."""
    left, buffer = _BUDGET, io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored: a picture is compressed already
        for dataset, picture in pictures:
            kind = next((kind for magic, kind in _KINDS if picture and picture.startswith(magic)), "")
            if picture and kind and len(picture) <= min(left, _LARGEST):
                archive.writestr(zipfile.ZipInfo(f"{dataset}.{kind}", _EPOCH), picture)
                left -= len(picture)
    return buffer.getvalue() if left < _BUDGET else b""


def previews_in(data: bytes) -> dict[int, bytes]:
    """The pictures by index of their dataset, whose id counts from 1. What is no picture of ours is passed over."""
    found = {}
    with contextlib.suppress(*UNREADABLE), open_zip(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = _NAME.match(info.filename)
            if name and info.compress_type == zipfile.ZIP_STORED and info.file_size <= _LARGEST:
                picture = archive.read(info)
                if any(picture.startswith(magic) for magic, _ in _KINDS):
                    found[int(name[1]) - 1] = picture
    return found
