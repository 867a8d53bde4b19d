"""`diadem/vendor.zip`: vendor metadata kept whole, members named by their SHA-256. The same content, the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: no time of ours enters the package


def vendor_zip(blocks: Mapping[str, bytes]) -> bytes:
    """Write the archive.

    Parameters
    ----------
    blocks : mapping of str to bytes
        SHA-256 (64 hex digits) to content; may be empty.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(blocks):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, blocks[name])
    return buffer.getvalue()
