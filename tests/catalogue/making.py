"""Packages for tests, as records that a package could have, and no bytes."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from diadem.catalogue import PackageEntry
from diadem.model.record import Dataset, Datasets, Record
from diadem.terms.fields import field, field_keys

NOW = datetime.datetime(2026, 3, 15, 12, tzinfo=datetime.UTC)


def package_id(name: str) -> str:
    return "diadem:" + hashlib.sha256(name.encode()).hexdigest()


def dataset(number: int, path: str, fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A dataset of one file; `fields` have one value or a list of them."""
    file = {"id": "f1", "path": path, "role": "primary", "bytes": 1, "sha256": "0" * 64, "format": "tiff"}
    stated = {
        key: [_assertion(key, value) for value in (values if isinstance(values, tuple) else (values,))]
        for key, values in fields.items()
    }
    document = {"id": f"d{number}", "files": [file], "signals": [], "raw": [], "issues": [], "extraction": {}}
    return {**document, "fields": stated, **more}


def _assertion(key: str, value: Any) -> dict[str, Any]:
    return {
        "value": value,
        "unit": field(key).unit,
        "status": "stated",
        "source": {"file": "f1"},
        "by": {"plugin": "test"},
    }


def record(datasets: Sequence[Mapping[str, Any]] = (), **head: Any) -> Record:
    """A record of datasets made by `dataset`."""
    known = field_keys()
    return Record("diadem-record/1.0.0", Datasets([Dataset(item, known) for item in datasets]), known, **head)


def entry(name: str = "one", datasets: Sequence[Mapping[str, Any]] = (), **more: Any) -> PackageEntry:
    """A package; whatever is not given is the same for all of them."""
    head = {key: more.pop(key) for key in ("session", "sample", "people", "instrument") if key in more}
    given: dict[str, Any] = {
        "id": package_id(name),
        "payload_id": hashlib.sha256(b"payload " + name.encode()).hexdigest(),
        "path": f"2026/20260314-{name}",
        "title": name,
        "date": datetime.date(2026, 3, 14),
        "bytes": 1000,
        "files": max(1, len(datasets)),
        "owner": "alice@hu-berlin",
        "ingested_at": NOW,
        "record": record(datasets, **head),
    }
    return PackageEntry(**(given | more))
