"""The real instrument files beside the checkout: unpacked into a folder of their own, and one record of all of them."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diadem
from diadem.model.record import Dataset, Record

#: Where the files lie by default: beside the checkout.
SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def unpack(source: Path, target: Path) -> Path:
    """Copy the files without the hostile ones, side files kept together, gzip ones unpacked; once."""
    if (target / ".complete").exists():
        return target / "data"
    shutil.copytree(source, target / "data", ignore=shutil.ignore_patterns("bad"))
    for folder in (target / "data", *(path for path in (target / "data").rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # the source may be read-only
    for packed in sorted((target / "data").rglob("*.gz")):
        with gzip.open(packed) as stream, packed.with_suffix("").open("wb") as sink:
            shutil.copyfileobj(stream, sink)
        packed.unlink()
    (target / ".complete").touch()
    return target / "data"


def expectations(source: Path) -> Mapping[str, Any]:
    """The files of `expected.json`, by path as unpacked."""
    document = json.loads((source / "expected.json").read_text(encoding="utf-8"))
    return {path.removesuffix(".gz"): told for path, told in document["files"].items()}


def read_all(folder: Path) -> tuple[Record, Mapping[str, Dataset]]:
    """The record of all files, and the dataset of each: the one that it names, else the one that it belongs to."""
    record = diadem.extract(folder)
    by_path: dict[str, Dataset] = {}
    for dataset in record.datasets:
        by_path[dataset.path] = dataset
    for dataset in record.datasets:
        for file in dataset.files:
            by_path.setdefault(file.path, dataset)
    return record, by_path
