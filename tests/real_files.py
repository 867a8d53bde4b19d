"""The real instrument files beside the checkout, and the package that the tests make of them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

#: What lies beside the checkout: `data/`, `bagit-suite/`.
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def unpack(source: Path, target: Path) -> Path:
    """Copy the real files, gzip ones unpacked; without `bad/`, and `more/`: formats that nobody knows yet."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("bad", "more"))
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # the source may be read-only
    for packed in sorted(target.rglob("*.gz")):
        with gzip.open(packed) as stream, packed.with_suffix("").open("wb") as sink:
            shutil.copyfileobj(stream, sink)
        packed.unlink()
    return target
