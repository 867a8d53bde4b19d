"""What is known of one dataset after extraction, as the JSON that a record holds; what worker and parent agree on.

A worker may be taken over by what it reads: so the parent judges extensions itself, and takes nothing of what a worker
says for an encoded picture, only bytes for pixels, as many as there are to be.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from diadem.serialization.extensions import ExtensionSchemas

#: Bytes that one answer may have.
MAX_ANSWER: Final = 8 << 20
#: What nearly every reader imports.
COMMON_MODULES: Final = ("numpy", "PIL.Image", "h5py", "diadem.extract.reading", "diadem.extract.preview")
#: What many readers import, and what takes three times as long: only where nobody waits is it imported beforehand.
LARGE_MODULES: Final = ("dask.array",)
#: Pixels along the longer side of a picture, and bytes of its PNG.
SIDE: Final = 160
MAX_PNG: Final = 12_000
#: Levels of grey, or colours, that are tried where all of them would make too large a file.
_LEVELS: Final = (16, 8, 4)
#: Characters of an exception that are told.
_LONGEST: Final = 300

#: The format of a file that no reader knows.
UNKNOWN = "unknown"
#: Where the code of foreign plugins lies, by name of a top-level package: ``origin``, the file that is run, or "";
#: ``places``, its folders, none for a module.
Places = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class VendorBlock:
    """A block of the vendor's metadata, or a parsed tree (typed JSON), to be kept in the package.

    `path` is a tag path or file name, `file` the id of the file that it comes from, `byte_range` its first byte there
    and the one after the last.
    """

    path: str
    media_type: str
    data: bytes
    file: str = "f1"
    byte_range: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is known of one dataset: its format and why (``magic``, ``suffix``, ``content``), signals, fields, issues.

    `extraction` says how the values were come by (tool, reader, mode, time zone, isolation); `preview` is a PNG of at
    most 12 kB; `vendor` the vendor's own metadata, whole, and the trees parsed from it; `extensions` are judged;
    `outcomes` of each rule of the tables are there where they were asked for. What no reader has read has hardly more
    than issues.
    """

    format: str = UNKNOWN
    evidence: tuple[str, ...] = ()
    signals: list[dict[str, Any]] = field(default_factory=list)
    fields: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)
    extraction: dict[str, Any] = field(default_factory=dict)
    preview: bytes | None = None
    vendor: list[VendorBlock] = field(default_factory=list)
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: list[dict[str, str]] = field(default_factory=list)


def issue(code: str, message: str, **more: Any) -> dict[str, Any]:
    """One issue of a dataset; `more` may name file, reader, next."""
    return {"code": code, "message": message, **{key: value for key, value in more.items() if value}}


def worded(error: Exception) -> str:
    """Name and words of an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"


def fault_text(error: Exception) -> str:
    """The same, and before it what it means where a file simply ends too early."""
    told = worded(error)
    ends = isinstance(error, EOFError) or (isinstance(error, struct.error) and "requires a buffer" in str(error))
    return f"it ends earlier than it should, or is damaged ({told})" if ends else told


def missing_part(part: str, entry: str) -> dict[str, Any]:
    """The issue of a dataset whose data lie in another file that is not there."""
    message = f"the data file '{part}' is not beside '{entry}'"
    return issue("missing-part", message, file="f1", next="Archive the files of one dataset together.")


# -- what a worker says --------------------------------------------------------------------------------------------


def judge(
    found: Iterable[Mapping[str, Any]], schemas: ExtensionSchemas
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """A dataset's extensions by namespace, as the record has them, and issues; what no schema is known for is kept.

    One that breaks its schema is left out and an issue with path and rule. `found` is what a worker says: ``namespace,
    version, data, by`` each.
    """
    extensions: dict[str, dict[str, Any]] = {}
    issues: list[dict[str, Any]] = []
    for item in filter(_has_form, found):
        name, version = item["namespace"], item["version"]
        verdict = schemas.judge(name, version, item["data"])
        if verdict.faults:
            message = f"the extension '{name}' violates version {version} of its schema: {'; '.join(verdict.faults)}"
            issues.append(issue("extension-invalid", message, by=item["by"]))
            continue
        if verdict.broken:
            message = f"version {version} of the schema of '{name}' cannot be used: {verdict.broken}"
            issues.append(issue("extension-unjudged", message, severity="info", by=item["by"]))
        kept = {"version": version, "data": item["data"], "validated": verdict.validated, "by": item["by"]}
        extensions[name] = {**kept, **({"schema": verdict.schema} if verdict.schema else {})}
    return extensions, issues


def _has_form(item: Any) -> bool:
    """Whether a worker's words have the form that ours have; a reader may have taken the worker over."""
    return (
        isinstance(item, Mapping)
        and isinstance(item.get("by"), Mapping)
        and all(isinstance(item.get(key), str) for key in ("namespace", "version"))
        and "data" in item
    )


def encoded(said: Any) -> bytes | None:
    """The PNG of pixels that a worker has sent, within `MAX_PNG`; None where they are none."""
    try:
        rows, columns, colours = (said[key] for key in ("rows", "columns", "colours"))
        pixels = base64.b64decode(said["pixels"], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
    if any(type(size) is not int or not 0 < size <= SIDE for size in (rows, columns)) or colours not in (1, 3):
        return None
    if len(pixels) != rows * columns * colours:
        return None
    from PIL import Image

    picture = Image.frombytes("L" if colours == 1 else "RGB", (columns, rows), pixels)
    data = _png(picture)
    for levels in _LEVELS:
        if len(data) <= MAX_PNG:
            break
        if colours == 1:
            few = picture.point([grey * levels // 256 for grey in range(256)])
            few.putpalette([level * 255 // (levels - 1) for level in range(levels) for _ in "rgb"])
        else:
            few = picture.quantize(levels)
        data = _png(few, bits=4)
    return data


def _png(picture: Any, **options: int) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=False, compress_level=6, **options)
    return sink.getvalue()
