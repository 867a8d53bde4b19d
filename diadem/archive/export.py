"""A package that no node gives, in another form: written by a plugin's exporter. Nobody notes that it was."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from diadem.archive.facts import facts_of
from diadem.errors import IntegrityError, Refused
from diadem.export import form
from diadem.export.zip import Content
from diadem.hooks.exporters import ExportedPackage, ExportSource
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import InMemory, Listener, Progress
from diadem.model.record import Dataset, understood
from diadem.package.examine import LIMITS, read_tag_file
from diadem.package.tags import parse_manifest
from diadem.trust.hashing import sha256_hex

if TYPE_CHECKING:
    from diadem.archive.package import Package

_PIECE = 4 << 20


def export_form(
    package: Package,
    name: str,
    path: Path,
    *,
    dataset: str = "",
    options: Mapping[str, Any] | Sequence[str] = (),
    listener: Listener,
) -> form.ExportedForm:
    """Export a package, or one dataset of it; see `diadem.Package.export`."""
    began = time.monotonic()
    offer = form.chosen(package.exporters, name, "dataset" if dataset else "package")
    if offer.writes == "service":
        advice = "Archive it in a node, and export it there: diadem import FOLDER"
        raise Refused("what leaves for a service leaves from a node, whose log says so", where=package.url, next=advice)
    checked = form.checked_options(offer, options)
    record = package.sealed_record  # its datasets lead to no package: whatever is read is proven by what is given
    leaving = ExportedPackage(
        id=str(package.id),
        payload_id=package.payload_id,
        record=record,
        facts=facts_of(package),
        datasets=[record.datasets[dataset]] if dataset else [each for _, each in understood(record.datasets)],
        files=package.files,
        open=lambda path: cast("BinaryIO", package.open(path)),
        load=partial(loaded, package),
        bag=partial(_bag, package),
    )
    source = ExportSource(
        [leaving],
        datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        progress=lambda done, total, what: listener(Progress("export", done, total, what)),
    )
    done = form.write(offer, source, path, checked, listener)
    taken = time.monotonic() - began
    return form.ExportedForm(name, str(path), "", [package.id], dataset=dataset, seconds=taken, **done)


def loaded(package: Package, dataset: Dataset) -> list[Any]:
    """The signals of a dataset, its files proven now. Raises `DigestMismatch`."""
    found = package.load(dataset.path, lazy=True, verify="always")
    return found if isinstance(found, list) else [found]


def _bag(package: Package) -> Iterator[tuple[str, Iterator[bytes]]]:
    text = package.bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    if sha256_hex(text) != package.id.hex:
        raise IntegrityError("the tag manifest was changed just now", where=package.url, next="Open it again.")
    tags = [path for _, path in parse_manifest(text, TAGMANIFEST)]
    return whole_bag(
        text,
        ((path, InMemory(read_tag_file(package.bundle, path, package.id))) for path in tags),
        ((entry.path, package.open_stored(entry.path)) for entry in package.manifest),
    )


def whole_bag(
    tagmanifest: bytes, *members: Iterable[tuple[str, AbstractContextManager[Content]]]
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Every file of a package as it was sealed, those that prove it first, each open while its pieces are taken."""
    yield TAGMANIFEST, iter([tagmanifest])
    for path, opened in chain.from_iterable(members):
        with opened as content:
            places = range(0, content.size, _PIECE)
            yield path, (content.read_at(at, min(_PIECE, content.size - at)) for at in places)
