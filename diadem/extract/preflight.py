"""Cheap checks in the parent before any reader runs: sizes against what headers promise, how far archives expand.

The files are a stranger's: each check reads a bounded number of bytes, and whatever it raises is an issue.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.extract import declared
from diadem.extract.extraction import issue, truncated
from diadem.extract.survey import DatasetPlan
from diadem.serialization.zip_list import open_zip

#: An archive may not hold more than this many times its own bytes …
MAX_RATIO = 200
#: … unless all of it is smaller than this.
SMALL_ENOUGH = 64 << 20
#: Members that an archive may have.
MAX_MEMBERS = 200_000
#: Bytes that are read to learn what a header promises; lists of strips may be named again and again.
_MAX_READ = 64 << 20
#: The mark at the end of a bzip2 stream, at any bit; a checksum of 32 bits follows.
_BZIP2_END, _BZIP2_MASK = 0x177245385090, (1 << 48) - 1
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class Preflight:
    """Issues found before reading, and whether a reader may run at all."""

    issues: tuple[dict[str, Any], ...] = ()
    may_read: bool = True


def preflight(plan: DatasetPlan, root: Path, formats: Sequence[str], head: bytes) -> Preflight:
    """Check the primary file of a dataset.

    Parameters
    ----------
    plan : DatasetPlan
        The dataset.
    root : Path
        Folder that the plan's paths are relative to.
    formats : sequence of str
        Readers that may be tried, best first.
    head : bytes
        First bytes of the primary.

    Returns
    -------
    Preflight
        A truncated file may still be read, for its metadata; an archive that expands too far may not.

    Raises
    ------
    OSError
        The file cannot be opened or read.
    """
    if plan.entry != plan.primary.path or not formats:
        return Preflight()
    try:
        return _checked(plan, root / plan.primary.path, formats, head)
    except OSError:
        raise
    except Exception as error:  # parsers of foreign bytes raise whatever those bytes make them raise
        message = f"the header of '{plan.primary.path}' cannot be understood ({type(error).__name__})"
        return Preflight((issue("odd-header", message, file=plan.primary.id),))


def _checked(plan: DatasetPlan, path: Path, formats: Sequence[str], head: bytes) -> Preflight:
    """The check for what the file is."""
    if head.startswith(_ZIP):
        return _archive(plan, path)
    if head.startswith(b"\x89HDF") or declared.hdf5(head.ljust(4096, b"\0"), _no_read) is not None:
        return _size(plan, path, declared.hdf5, head)
    if formats[0] == "phenom":
        return _bzip2(plan, path)
    for name in formats:
        if rule := declared.RULES.get(name):
            return _size(plan, path, rule, head)
    return Preflight()


def _no_read(offset: int, length: int) -> bytes:  # noqa: ARG001
    """For rules that need the head alone."""
    return b""


def _size(plan: DatasetPlan, path: Path, rule: Any, head: bytes) -> Preflight:
    """Compare what the header promises with the bytes that are there."""
    size, left = plan.primary.size, _MAX_READ
    try:
        with path.open("rb") as stream:

            def read(offset: int, length: int) -> bytes:
                nonlocal left
                left -= max(0, min(length, size - offset))
                if offset > size or left < 0:  # a rule knows the least size without what it does not get
                    return b""
                stream.seek(offset)
                return stream.read(length)

            promised = rule(head, read)
    except (struct.error, IndexError) as error:  # it ends within its header
        return Preflight((_truncated(plan, f"its header cannot be understood ({type(error).__name__})"),))
    if promised is None:
        return Preflight()
    if promised > size:
        many = f"{promised} bytes" if promised < 1 << 63 else "more bytes than any file has"
        return Preflight((_truncated(plan, f"its header promises {many}, {size} are there"),))
    return Preflight()


def _truncated(plan: DatasetPlan, why: str) -> dict[str, Any]:
    return truncated(plan.primary.path, plan.primary.id, why)


def _bzip2(plan: DatasetPlan, path: Path) -> Preflight:
    """Refuse a bzip2 stream without its end, for which RosettaSciIO 0.15's Phenom reader waits for ever."""
    with path.open("rb") as stream:
        stream.seek(max(0, plan.primary.size - 64))
        tail = stream.read(64)
    bits = int.from_bytes(tail, "big")
    if any((bits >> shift) & _BZIP2_MASK == _BZIP2_END for shift in range(32, 8 * len(tail) - 47)):
        return Preflight()
    return Preflight(
        (_truncated(plan, "the end of its compressed stream is missing; it was not read"),), may_read=False
    )


def _archive(plan: DatasetPlan, path: Path) -> Preflight:
    """Refuse an archive that would fill the memory."""
    size = plan.primary.size
    with path.open("rb") as stream:
        try:
            with open_zip(stream) as archive:
                members = archive.infolist()
        except zipfile.LargeZipFile as error:
            message = f"'{plan.primary.path}' would fill the memory: {error}; it was not read"
            return Preflight((issue("expands-too-much", message, file=plan.primary.id),), may_read=False)
        except zipfile.BadZipFile as error:  # what else is raised is an odd header: the file may be whole
            why = f"its list of members is missing or damaged ({type(error).__name__})"
            return Preflight((_truncated(plan, why),))
    whole = sum(member.file_size for member in members)
    if len(members) <= MAX_MEMBERS and (whole <= SMALL_ENOUGH or whole <= MAX_RATIO * size):
        return Preflight()
    message = f"'{plan.primary.path}' has {size} bytes and says it holds {whole} in {len(members)} members"
    return Preflight((issue("expands-too-much", message + "; it was not read", file=plan.primary.id),), may_read=False)
