"""The real instrument files beside the checkout: unpacked into a folder of their own, and what is read of them."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import diadem
from diadem.model.record import Dataset

#: Where the files lie by default: beside the checkout.
SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def unpack(source: Path, target: Path) -> Path:
    """Copy the files without `bad/` and `more/`, side files kept together, gzip ones unpacked; once."""
    if (target / ".complete").exists():
        return target / "data"
    shutil.copytree(source, target / "data", ignore=shutil.ignore_patterns("bad", "more"))
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


def by_path(datasets: Iterable[Dataset], prefix: str = "") -> dict[str, Dataset]:
    """The dataset of each file, by its path: the one that it names, else the one that it belongs to."""
    datasets = list(datasets)
    found = {prefix + dataset.path: dataset for dataset in datasets}
    for dataset in datasets:
        for file in dataset.files:
            found.setdefault(prefix + file.path, dataset)
    return found


def read_all(folder: Path, parts: Sequence[str] = ()) -> Mapping[str, Dataset]:
    """The dataset of each file of a folder, by its path; `parts` are folders in it, to read no more than these."""
    found: dict[str, Dataset] = {}
    for part in parts or ("",):
        found |= by_path(diadem.extract(folder / part).datasets, f"{part}/" if part else "")
    return found
