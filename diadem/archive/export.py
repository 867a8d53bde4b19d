"""A package that no node gives, in another form: written by a plugin's exporter. Nobody notes that it was."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from diadem.archive.facts import facts_as_corrected
from diadem.archive.overview import as_days, session_span
from diadem.errors import DiademError, IntegrityError, NotFound, Refused
from diadem.export import form
from diadem.export.zip import Content
from diadem.hooks.exporters import ExportedPackage, ExportSource
from diadem.model.amendments import Corrections
from diadem.model.effective import Corrected, corrected, effective_record
from diadem.model.facts import MAX_DESCRIBED
from diadem.model.manifest import TAGMANIFEST
from diadem.model.plain_text import count_text, quoted
from diadem.model.ports import InMemory, Listener, Progress
from diadem.model.record import Dataset, understood
from diadem.package.examine import LIMITS, read_tag_file
from diadem.package.tags import parse_manifest
from diadem.store.addresses import file_around
from diadem.trust.hashing import sha256_hex

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.assessments import Assessment
    from diadem.model.lineage import Caution

_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What came with a package that no node gives: corrections, judgements that count, and doubts.

    `refused` says why others of the judgements do not count.
    """

    corrections: Corrections
    assessments: Sequence[Assessment] = ()
    cautions: Sequence[Caution] = ()
    refused: Sequence[str] = ()

    def told(self, holds: Sequence[Corrected]) -> Iterator[tuple[str, str]]:
        """What is told of it, by the names that stand there: nobody here knows whose they are."""
        if holds:
            by = {f"{one.amendment.by} (node {one.amendment.node[:12]})" for one in holds}
            fields = dict.fromkeys(one.change.field for one in holds)
            yield "corrected", f"{', '.join(fields)} by {', '.join(sorted(by))}, as what came beside it says"
        if self.assessments:
            by = {f"{one.by} (node {one.node[:12]})" for one in self.assessments}
            amount = count_text(len(self.assessments), "judgement")
            yield "judged", f"{amount} by {', '.join(sorted(by))}, as what came beside it says"
        if self.refused:
            yield "not taken over", "; ".join(self.refused)


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
    from diadem.archive.package import Home

    began = time.monotonic()
    offer = form.chosen(package.exporters, name, "dataset" if dataset else "package")
    place = file_around(Path(package.url)) or package.url
    if offer.writes == "service":
        advice = f"Archive it in a node, and export it there: diadem import {quoted(place)}"
        raise Refused("what leaves for a service leaves from a node, whose log says so", where=package.url, next=advice)
    checked = form.checked_options(offer, options)
    sealed = package.sealed_record  # its datasets lead to no package: whatever is read is proven by what is given
    beside = Enclosure(Corrections((), "")) if package.beside is None else package.beside(package)
    amend = partial(effective_record, corrections=beside.corrections)
    record, holds = amend(sealed), corrected(sealed, beside.corrections)
    package = package.replaced(home=Home(None, no_custody, lambda _: (), amend))
    facts = facts_as_corrected(package, sealed, beside.corrections)
    datasets = [each for _, each in understood(record.datasets)]
    title = str(record.session.get("title") or "") or facts.name
    span = session_span(record.session, datasets[:MAX_DESCRIBED], title, facts.archived)
    leaving = ExportedPackage(
        id=str(package.id),
        payload_id=package.payload_id,
        record=record,
        facts=replace(facts, days=as_days(span.first, span.last)),
        datasets=[record.datasets[dataset]] if dataset else datasets,
        files=package.files,
        open=lambda path: cast("BinaryIO", package.open(path)),
        load=partial(loaded, package),
        assessments=beside.assessments,
        corrections=holds,
        cautions=beside.cautions,
        bag=partial(_bag, package),
    )
    source = ExportSource(
        [leaving],
        datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        progress=lambda done, total, what: listener(Progress("export", done, total, what)),
    )
    try:
        done = form.write(offer, source, path, checked, listener)
    except DiademError as error:  # its advice names the package by its id, which only a node knows
        error.next = (error.next or "").replace(f" export {leaving.id}", f" export {quoted(place)}")
        if f" amend {leaving.id}" in error.next:
            error.next += f"   (amended in a node: diadem import {quoted(place)})"
        raise
    done["told"] += beside.told(holds)
    taken = time.monotonic() - began
    return form.ExportedForm(name, str(path), "", [package.id], dataset=dataset, seconds=taken, **done)


def no_custody(package: str) -> Any:
    """Raise `NotFound`: an exporter is given what is exported, and no custody."""
    raise NotFound("who exports is given no custody", where=package, next=f"See: diadem custody {package[7:19]}")


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
