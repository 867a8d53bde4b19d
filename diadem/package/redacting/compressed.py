"""Files in which a text cannot be seen from outside, because they are compressed, or may be in part."""

from __future__ import annotations

from typing import Final

#: Bytes of a file's beginning that tell.
HEAD_SIZE: Final = 16
_WHOLE, _PARTS = "it is compressed", "parts of it may be compressed"
#: First bytes, name, and how much of the file is compressed.
_KINDS: Final = (
    (b"PK\x03\x04", "ZIP", _PARTS),
    (b"PK\x05\x06", "ZIP", _PARTS),
    (b"\x1f\x8b", "gzip", _WHOLE),
    (b"BZh", "bzip2", _WHOLE),
    (b"\xfd7zXZ\x00", "xz", _WHOLE),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _WHOLE),
    (b"\x04\x22\x4d\x18", "LZ4", _WHOLE),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", _WHOLE),
    (b"Rar!\x1a\x07", "RAR", _WHOLE),
    (b"\x89HDF\r\n\x1a\n", "HDF5", _PARTS),
    (b"AAMVHFSS", "Bruker container", _PARTS),  # .bcf and .pan: an SFS container
    (b"%PDF", "PDF", _PARTS),
    (b"\x89PNG\r\n\x1a\n", "PNG", _PARTS),
)
#: By the end of the name, where the first bytes do not tell: Blosc inside an MRC file or a Zarr tree.
_SUFFIXES: Final = ((".mrcz", "MRCZ", _PARTS), (".prz", "PRZ", _PARTS))


def compression_of(head: bytes, path: str) -> str | None:
    """Why a text may be in this file unseen: ``HDF5: parts of it may be compressed``; None where it may not.

    Parameters
    ----------
    head : bytes
        The first `HEAD_SIZE` bytes.
    path : str
        Its path.
    """
    for magic, name, reason in _KINDS:
        if head.startswith(magic):
            return f"{name}: {reason}"
    lower = path.lower()
    for suffix, name, reason in _SUFFIXES:
        if lower.endswith(suffix):
            return f"{name}: {reason}"
    if ".zarr/" in lower or ".zspy/" in lower:
        return f"Zarr: {_PARTS}"
    return None
