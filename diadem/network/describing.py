"""What an offer tells of a package beside its numbers, so that a person can decide: a summary, and a few pictures.

It is not signed: what decides is what lands, and that is proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from diadem.archive.facts import previews_of
from diadem.archive.package import Package
from diadem.catalogue import PackageRow
from diadem.errors import DiademError
from diadem.model import canonical
from diadem.model.plain_text import one_line
from diadem.network.messages import MAX_PREVIEW_BYTES, MAX_PREVIEWS, MAX_RECORD_BYTES
from diadem.trust.base64_text import to_base64

_DATASETS: Final = 8
_FIELDS: Final = (
    "beam.acceleration_voltage",
    "optics.magnification",
    "optics.camera_length",
    "detector.name",
    "image.pixel_size_x",
    "time.acquired_start",
)
_LONGEST: Final = 300
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def describe(package: Package, row: PackageRow) -> dict[str, Any]:
    """The `about` of an offer: record, previews, and the package's name in a store."""
    record: dict[str, Any] = {
        "title": _short(row.title),
        "date": row.date.isoformat() if row.date else "",
        "instrument": _short(row.instrument),
        "sample": _short(row.sample),
        "operator": _short(row.operator),
        "project": _short(package.record.session.get("project", "")),
        "people": [_short(person.get("name", "")) for person in package.record.people[:20]],
        "formats": [_short(name) for name in row.formats[:20]],
        "counts": {"datasets": len(package), "files": row.files, "bytes": row.bytes},
        "datasets": [_dataset(package, number) for number in range(min(_DATASETS, len(package.record.datasets)))],
    }
    if len(canonical.encode(record, where="record")) > MAX_RECORD_BYTES:
        record["datasets"] = []
    return {"record": record, "previews": list(_previews(package)), "path": row.path}


def _dataset(package: Package, number: int) -> Mapping[str, Any]:
    dataset = package.record.datasets[number]
    fields = {}
    for key in _FIELDS:
        try:
            value = dataset.value(key)
        except DiademError:  # its files disagree, or nobody says
            continue
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            fields[key] = _short(value) if isinstance(value, str) else value
    return {"id": dataset.id, "path": _short(dataset.path), "fields": fields}


def _previews(package: Package) -> Iterator[dict[str, str]]:
    found = previews_of(package)
    told = 0
    for number in sorted(found):
        if told < MAX_PREVIEWS and found[number].startswith(_PNG) and len(found[number]) <= MAX_PREVIEW_BYTES:
            told += 1
            yield {"name": f"dataset {number + 1}", "png": to_base64(found[number])}


def _short(text: object) -> str:
    return one_line(str(text or ""), _LONGEST)
