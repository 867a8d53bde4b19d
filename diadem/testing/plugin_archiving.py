"""An example through a package: archived, opened again, proven, and loaded as the reader reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem import api
from diadem.archive.package import Package
from diadem.errors import DiademError
from diadem.extract.extraction import Extraction
from diadem.serialization.record_json import validate_record
from diadem.testing.comparing import difference, stated_by
from diadem.testing.plugin_copies import Example
from diadem.testing.plugin_report import Notes
from diadem.testing.trial import digest


def archive(
    example: Example, found: Extraction, signals: Sequence[Mapping[str, Any]], store: Path, notes: Notes
) -> None:
    """Pack an example, and compare what the package says and gives with what was read before.

    Parameters
    ----------
    example : Example
        The dataset.
    found : Extraction
        What was read of it.
    signals : sequence of mapping
        What its reader returned; see `diadem.testing.trial.signature`.
    store : Path
        A folder for the package.
    notes : Notes
        Takes what is found.
    """
    notes.checked["packages"] += 1
    try:
        packed = api.pack(example.root, store)
        opened = api.open(packed.url)
        document = opened.record.to_dict()
        validate_record(document)
    except DiademError as error:
        notes.error("package", example.name, f"no package can be made of it: {error}")
        return
    if changed := difference(packed.record.to_dict(), document):
        notes.error("package", example.name, f"the package says something else when it is opened again: {changed}")
    if not opened.verify().ok:
        notes.error("package", example.name, "the package is not intact")
    sealed: Mapping[str, Any] = next(
        (item for item in document["datasets"] if item["files"][0]["path"] == example.files[0]), {}
    )
    kept = {key: sealed.get(key, {}) for key in ("signals", "fields", "extensions")}
    if changed := difference(stated_by(found), kept):
        notes.error("package", example.name, f"the record in the package is another: {changed}")
    for lazy in (True, False):
        _load(example, opened, signals, notes, lazy=lazy)


def _load(
    example: Example, package: Package, signals: Sequence[Mapping[str, Any]], notes: Notes, *, lazy: bool
) -> None:
    """Load the dataset as HyperSpy signals, and compare their arrays with the reader's."""
    how = "lazily" if lazy else "whole"
    try:
        loaded = package.load(example.files[0], lazy=lazy)
        arrays = [item.data for item in (loaded if isinstance(loaded, list) else [loaded])]
        digests = [digest(array) for array in arrays]
    except Exception as error:  # the reader's own, or HyperSpy's on what the reader returned
        notes.error("load", example.name, f"loaded {how}, it fails: {type(error).__name__}: {error}")
        return
    notes.checked["signals loaded"] += len(digests)
    read = [(signal["shape"], signal["sha256"]) for signal in signals]
    given = [(list(array.shape), text) for array, text in zip(arrays, digests, strict=True)]
    if signals and read != given:
        notes.error("load", example.name, f"loaded {how}, the arrays are not those that the reader returns")
