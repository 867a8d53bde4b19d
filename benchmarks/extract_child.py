"""Extraction in a process of its own: DIADEM's, or a plain loop over RosettaSciIO's readers.

``extract_child.py ours FOLDER`` extracts a folder; ``workers FOLDER N`` the same with N workers and no record;
``theirs LIST.json FOLDER`` calls the reader that the list names for each file; ``apart LIST.json FOLDER NOTE.json``
does both, dataset by dataset in one worker that has started, and notes the seconds of each.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

#: A reader and the path of its file, relative to the folder.
Files = list[tuple[str, str]]


def ours(folder: str) -> None:
    """The public function, worker start included."""
    import diadem

    for dataset in diadem.extract(folder).datasets:
        dataset.fields  # noqa: B018 - parsed, as a user would


def workers(folder: str, count: str) -> None:
    """The extractor alone, so that nothing but workers differs."""
    from diadem.extract.pool import Extractor
    from diadem.hooks.offers import FieldsOffer

    offers, plans = _plans(Path(folder))
    with Extractor(offers.readers, offers.of(FieldsOffer), workers=int(count)) as extractor:
        extractor.expect(len(plans))
        read = sum(bool(found.signals) for _, found in extractor.extract_many(plans, Path(folder)))
    if read != len(plans):
        raise SystemExit(f"{read} of {len(plans)} were read")


def theirs(listed: str, folder: str) -> None:
    """Each file by its reader: lazily, eagerly where that is refused, and left where neither works."""
    for reader, path in _listed(listed):
        _read(reader, Path(folder) / path)


def apart(listed: str, folder: str, note: str) -> None:
    """Both, one after the other, file by file."""
    from diadem.extract.pool import Extractor
    from diadem.hooks.offers import FieldsOffer

    offers, plans = _plans(Path(folder))
    readers = {path: reader for reader, path in _listed(listed)}
    seconds: dict[str, tuple[str, float, float | None]] = {}
    with Extractor(offers.readers, offers.of(FieldsOffer)) as extractor:
        for plan in plans[:1]:
            extractor.extract(plan, Path(folder))  # the worker has started
        for plan in plans:
            path = plan.entry or plan.primary.path
            start = time.perf_counter()
            found = extractor.extract(plan, Path(folder))
            mine, start = time.perf_counter() - start, time.perf_counter()
            if path in readers:
                _read(readers[path], Path(folder) / path)
            seconds[path] = (found.format, mine, time.perf_counter() - start if path in readers else None)
    Path(note).write_text(json.dumps(seconds))


def _plans(folder: Path) -> tuple[Any, list[Any]]:
    from diadem.extract.survey import survey
    from diadem.hooks.manager import collect

    offers = collect()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return offers, survey(
        [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files], offers.readers
    )


def _listed(listed: str) -> Iterator[tuple[str, str]]:
    files: Files = json.loads(Path(listed).read_text())
    yield from ((reader, path) for reader, path in files)


def _read(reader: str, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"rsciio.{reader}")
        try:
            module.file_reader(str(path), lazy=True)
        except Exception:  # many readers are not lazy, and each says so in its own way
            with suppress(Exception):
                module.file_reader(str(path), lazy=False)


if __name__ == "__main__":
    {"ours": ours, "workers": workers, "theirs": theirs, "apart": apart}[sys.argv[1]](*sys.argv[2:])
