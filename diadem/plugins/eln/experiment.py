"""Sessions as electronic lab notebooks take them: one experiment a session, in an ``.eln`` file.

The form is TheELNConsortium's: a ZIP with one folder, an RO-Crate of version 1.1, by which the consortium judges. What
programs make of an experiment differs: eLabFTW takes text, files, and a property ``elabftw_metadata``; others take
properties, nested where their names have dots. So what matters is said in all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, NamedTuple

from diadem.errors import IntegrityError
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.assessments import LIMITED, REJECT, Assessment
from diadem.model.facts import MAX_DESCRIBED
from diadem.model.manifest import FileEntry
from diadem.model.markup import templates
from diadem.model.plain_text import count_text, fit, size_text, slug, value_text
from diadem.model.quantities import quantity_text, signal_text
from diadem.model.record import Dataset
from diadem.package.crate import (
    Graph,
    Reference,
    add_licence,
    add_people,
    is_address,
    media_type,
    property_value,
)
from diadem.terms.fields import Field, all_fields

_SPECIFICATION: Final = "https://w3id.org/ro/crate/1.1"
#: RO-Crate 1.1 has no word for the digest of a file; every notebook uses this one.
_CONTEXT: Final = [f"{_SPECIFICATION}/context", {"sha256": "http://schema.org/sha256"}]
_METADATA: Final = "ro-crate-metadata.json"
_PUBLISHER: Final = "https://diadem-em.org"
#: From this number on eLabFTW looks properties up by their `@id` (`src/Import/Eln.php` there).
_ELABFTW: Final = "103"
#: Doubts about the reading of files that are named one by one.
_NAMED: Final = 50
_PNG: Final = b"\x89PNG"
_BLOCK: Final = 1 << 20
_EARLIEST, _LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
#: Of the head of the record: what an experiment has words of its own for.
_SAID: Final = frozenset({"session.title", "session.description", "session.keywords", "session.license"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")


class Value(NamedTuple):
    """A value of an experiment, as people and as programs read it."""

    key: str
    label: str
    value: Any
    unit: str = ""
    term: str = ""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return value_text(self.value) if isinstance(self.value, dict) else quantity_text(self.value, self.unit)


def export(source: ExportSource, target: ExportTarget, *, files: bool = False, link: str = "") -> dict[str, str]:
    """Write packages as one ``.eln`` file; see `diadem.hooks.offers.ExporterOffer`.

    Raises `DigestMismatch` where a file that is put in is damaged in every copy.
    """
    experiments, licences, count = list[Reference](), list[Any](), 0
    with zipfile.ZipFile(target.path, "w") as archive, tempfile.TemporaryFile() as entities:
        crate = _Crate(archive, _plain(PurePosixPath(target.name).stem) or "session", source)
        addresses = set[str]()
        for number, package in enumerate(source.packages):
            title = source.query or package.facts.name
            graph = Graph(prefix=f"#{package.id[7:19]}-")
            experiments.append(_experiment(crate, graph, package, files=files, link=link))
            licences.append(graph.entities[experiments[-1]["@id"]]["license"])
            for name, entity in graph.entities.items():
                if name not in addresses:  # a person with an ORCID iD belongs to many sessions
                    entities.write(b",\n" + json.dumps(entity, ensure_ascii=False, allow_nan=False).encode())
                if not name.startswith((graph.prefix, "./")):
                    addresses.add(name)
            count += len(package.files) if files else 0
            source.progress(number + 1, len(source.packages), "sessions")
        head = _head(source, title, experiments, licences)
        entities.seek(0)
        crate.write(_METADATA, _document(head, iter(lambda: entities.read(_BLOCK), b"")))
    said = f"{count_text(count, 'file')} put in" if files else "not put in; each experiment names its package"
    return {"experiments": str(len(experiments)), "files": said}


def _head(source: ExportSource, title: str, experiments: Sequence[Reference], licences: Sequence[Any]) -> Graph:
    """What every ``.eln`` file begins with: the crate, who made it, and what is to be imported."""
    head, moment = Graph(), source.moment.isoformat()
    about = {"about": {"@id": "./"}, "conformsTo": {"@id": _SPECIFICATION}, "sdPublisher": {"@id": _PUBLISHER}}
    head.add(_METADATA, "CreativeWork", **about, dateCreated=moment, version="1.1")
    several = "Each session names its own licence."
    same = all(licence == licences[0] for licence in licences)
    given = f" by {source.person or source.by}" if source.by else ""
    head.add(
        "./",
        "Dataset",
        name=f"Sessions found by: {title}" if source.query else title.strip() or "Untitled session",
        description=f"{count_text(len(experiments), 'session')} of electron microscopy, exported{given}.",
        datePublished=moment[:10],
        license=licences[0] if same else head.add("#licences", "CreativeWork", name=several, description=several),
        hasPart=list(experiments),
        version=_ELABFTW,
    )
    head.add(_PUBLISHER, "Organization", name="DIADEM", url=_PUBLISHER, description=source.software)
    return head


def _document(head: Graph, entities: Iterable[bytes]) -> Iterator[bytes]:
    first = ",\n".join(json.dumps(entity, ensure_ascii=False) for entity in head.entities.values())
    yield f'{{"@context": {json.dumps(_CONTEXT)},\n"@graph": [\n{first}'.encode()
    yield from entities
    yield b"\n]}\n"


# -- one session -------------------------------------------------------------------------------------------------------


def _experiment(crate: _Crate, graph: Graph, package: ExportedPackage, *, files: bool, link: str) -> Reference:
    """Write the files of a session, and add what is said of it to the graph."""
    facts = package.facts
    folder = f"./{slug(facts.name)[:40] or 'session'}-{package.id[7:19]}/"
    shared = _shared(package.datasets)
    described = [
        (dataset, [one for one in _values(dataset) if shared.get(one.key) != one])
        for dataset in package.datasets[:MAX_DESCRIBED]
    ]
    parts = [_record(crate, graph, package, folder)]
    for one in facts.datasets:
        if one.preview:
            name = f"{folder}previews/{one.id}.{'png' if one.preview.startswith(_PNG) else 'jpg'}"
            title = f"{PurePosixPath(one.primary).name} ({one.id})"
            parts.append(crate.add(graph, name, [one.preview], title=title, description=f"Preview of {one.primary}"))
    parts += _payload(crate, graph, package, folder) if files else []
    parts += [_dataset(graph, dataset, own) for dataset, own in described]
    head = {one.key: one for one in _head_values(package)}  # what a person says goes before the files
    values = [*_provenance(crate.source, package), *({**shared, **head}).values(), *_samples(package)]
    remarks = {
        "correction": [one.sentence for one in package.corrections],
        "judgement": [_judgement(one, package) for one in package.assessments],
        "doubt": [*(one.sentence for one in package.cautions), *_doubts_of_reading(package.datasets)],
        "source": [f"{one.package} {one.path}".strip() for each in package.derivations for one in each.sources],
    }
    people = add_people(graph, facts.people or [{"name": name, "role": "operator"} for name in facts.operators])
    start, end = facts.days or ("", "")
    url = link.replace("{id}", package.id)
    text = (
        templates("plugins/eln", longest=500)
        .get_template("experiment.html")
        .render(
            facts=facts,
            id=package.id,
            node=crate.source.node,
            url=url,
            files=files,
            values=values,
            remarks=remarks,
            datasets=[{"path": one.path, "what": _what(one), "own": own} for one, own in described],
        )
    )
    values += [
        Value(f"{kind}.{number}", f"{kind.capitalize()} {number}", sentence)
        for kind, sentences in remarks.items()
        for number, sentence in enumerate(sentences, 1)
    ]
    return graph.add(
        folder,
        "Dataset",
        name=facts.name.strip() or "Untitled session",
        genre="experiment",
        identifier=package.id,
        url=url,
        author=people[0] if people else None,
        contributor=people[1:],
        dateCreated=facts.archived,
        temporal=start,
        temporalCoverage=f"{start}/{end}" if end and start != end else start,
        keywords=",".join(str(word).replace(",", " ") for word in facts.session.get("keywords", ())),
        license=add_licence(graph, facts.license.strip()),
        encodingFormat="text/html",
        text=text,
        variableMeasured=[*_properties(graph, values), _elabftw(graph, values)],
        hasPart=parts,
    )


def _dataset(graph: Graph, dataset: Dataset, own: Sequence[Value]) -> Reference:
    """A dataset of the session, with the values in which it differs."""
    terms = {"name": dataset.path, "identifier": dataset.id, "description": _what(dataset)}
    measured = _properties(graph, own)
    return graph.add(f"{graph.prefix}{dataset.id}", "Dataset", **terms, variableMeasured=measured)


def _what(dataset: Dataset) -> str:
    size = sum(file.bytes for file in dataset.files)
    signals = (signal_text(signal) for signal in dataset.document.get("signals", ()))
    return "; ".join(
        (f"{dataset.primary.format}, {count_text(len(dataset.files), 'file')}, {size_text(size)}", *signals)
    )


# -- values ------------------------------------------------------------------------------------------------------------


def _values(dataset: Dataset) -> list[Value]:
    """What holds of every field of a dataset, in the order of the dictionary."""
    stated = dataset.document.get("fields", {})
    found = []
    for key, field in all_fields().items():
        if said := stated.get(key):
            one = next((one for one in said if one.get("preferred")), said[0])
            found.append(_value(field, one["value"], str(one.get("unit", ""))))
    return found


def _value(field: Field, value: Any, unit: str) -> Value:
    return Value(field.key, field.label, value, unit if unit != "1" else "", field.emg)


def _shared(datasets: Sequence[Dataset]) -> dict[str, Value]:
    """The values in which all datasets agree that state any, by their keys."""
    shared: dict[str, Value] | None = None
    for dataset in datasets:
        if values := {one.key: one for one in _values(dataset)}:
            shared = values if shared is None else {key: one for key, one in shared.items() if values.get(key) == one}
    return shared or {}


def _head_values(package: ExportedPackage) -> Iterator[Value]:
    """What people say of session, sample and instrument."""
    for part in ("session", "sample", "instrument"):
        for name, value in sorted(getattr(package.record, part).items()):
            if (key := f"{part}.{name}") not in _SAID:
                field = all_fields().get(key)
                label = f"{part.capitalize()}: {name.replace('_', ' ')}"
                yield _value(field, value, field.unit) if field else Value(key, label, value)


def _samples(package: ExportedPackage) -> Iterator[Value]:
    """What the node knows of the samples that the session names."""
    for number, one in enumerate(package.samples, 1):
        said = {
            "id": ("id", one["id"]),
            "name": ("what it is", one.get("name")),
            **{
                f"identifiers.{key}": ("IGSN" if key == "igsn" else key, text)
                for key, text in sorted(one.get("identifiers", {}).items())
            },
            "names": ("called elsewhere", "; ".join(map(_called, one.get("names", ())))),
            "parents": ("made from", "; ".join(f"{_called(each)}, {each['how']}" for each in one.get("parents", ()))),
            "composition": ("composition", one.get("composition")),
            "elements": ("elements", ", ".join(one.get("elements", ()))),
            "preparation": ("preparation", "; ".join(map(_called, one.get("preparation", ())))),
        }
        for key, (what, text) in said.items():
            if text:
                yield Value(f"sample.registered.{number}.{key}", f"Sample {one['identifier']}: {what}", text)


def _called(one: Mapping[str, Any]) -> str:
    """A name and whose it is, a sample and its IGSN, a step and its day: ``K-2026-007 (NMI)``."""
    first = one.get("step") or one.get("identifier") or one["name"]
    more = one.get("lab") or one.get("date") or one.get("identifiers", {}).get("igsn")
    return f"{first} ({more})" if more else str(first)


def _provenance(source: ExportSource, package: ExportedPackage) -> Iterator[Value]:
    yield Value("diadem.package", "Package", package.id)
    yield Value("diadem.payload", "Payload id", package.payload_id)
    yield Value("diadem.archived", "Archived", package.facts.archived)
    yield Value("diadem.datasets", "Datasets", package.facts.dataset_count)
    yield Value("diadem.bytes", "Size", package.facts.total_bytes, "B")
    if source.node:
        yield Value("diadem.archive", "Archive", source.node)


def _properties(graph: Graph, values: Iterable[Value]) -> list[Reference]:
    """Typed properties: a number stays one, and its meaning has an address where the EM Glossary gives one."""
    return [
        graph.share(
            "PropertyValue",
            propertyID=one.key,
            name=one.label,
            value=property_value(one.value if isinstance(one.value, (int, float)) else value_text(one.value)),
            unitText=one.unit,
            identifier=one.term,
        )
        for one in values
    ]


def _elabftw(graph: Graph, values: Iterable[Value]) -> Reference:
    """The same as eLabFTW's extra fields, which is all that it takes of properties."""
    extra: dict[str, dict[str, Any]] = {}
    for position, one in enumerate(values):
        value, label = one.value, one.label if one.label not in extra else f"{one.label} ({one.key})"
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = fit(str(value) if number else value_text(value))
        kind = "number" if number else "date" if _DAY.match(text) else "url" if is_address(text) else "text"
        extra[fit(label)] = {"type": kind, "value": text, "position": position, "description": one.key}
        if number:
            extra[fit(label)] |= {"unit": one.unit, "units": [one.unit] if one.unit else []}
    return graph.add(
        f"{graph.prefix}elabftw",
        "PropertyValue",
        propertyID="elabftw_metadata",
        description="eLabFTW metadata JSON as string",
        value=json.dumps({"elabftw": {"display_main_text": True}, "extra_fields": extra}, ensure_ascii=False),
    )


# -- what people say of them -------------------------------------------------------------------------------------------


def _judgement(one: Assessment, package: ExportedPackage) -> str:
    verdict = {LIMITED: "usable with limits", REJECT: "rejected"}.get(one.verdict, "usable")
    path = next((each.path for each in package.datasets if each.id == one.dataset), one.dataset) or "the session"
    value = f", {quantity_text(one.value, one.unit)}" if one.value is not None else ""
    comment = f": {one.comment}" if one.comment else ""
    criterion = f" – {one.criterion}" if one.criterion else ""
    return f"{path} is {verdict} for {one.purpose}{criterion}{value} ({one.who}, {one.time[:10]}{comment})"


def _doubts_of_reading(datasets: Sequence[Dataset]) -> list[str]:
    """What was doubted when the files were read."""
    found = [f"{dataset.path}: {issue['message']}" for dataset in datasets for issue in dataset.issues]
    more = len(found) - _NAMED
    return [*found[:_NAMED], f"and {count_text(more, 'more doubt')}, see record.json"] if more > 0 else found


# -- files -------------------------------------------------------------------------------------------------------------


def _record(crate: _Crate, graph: Graph, package: ExportedPackage, folder: str) -> Reference:
    """All that is known of the session, as it holds now: every value with its evidence."""

    def written() -> Iterator[bytes]:
        head = {part: getattr(package.record, part) for part in ("session", "sample", "instrument", "people")}
        head |= {"samples": package.samples} if package.samples else {}
        yield json.dumps({"package": package.id, **head}, ensure_ascii=False, default=_plain_json)[:-1].encode()
        yield b', "datasets": ['
        for number, dataset in enumerate(package.datasets):
            yield b",\n" if number else b"\n"
            yield json.dumps(dataset.document, ensure_ascii=False, default=_plain_json).encode()
        yield b"\n]}\n"

    description = "Every value of every dataset, with its unit and where it was found, corrections applied."
    return crate.add(graph, f"{folder}record.json", written(), title="record.json", description=description)


def _plain_json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)


def _payload(crate: _Crate, graph: Graph, package: ExportedPackage, folder: str) -> Iterator[Reference]:
    """The instrument's files, each byte proven as it is read."""
    total, done = sum(entry.size for entry in package.files), 0
    for entry, plain in zip(package.files, _plain_paths([entry.name for entry in package.files]), strict=True):
        with package.open(entry.name) as stream:

            def blocks(stream: BinaryIO = stream, entry: FileEntry = entry) -> Iterator[bytes]:
                nonlocal done
                while block := stream.read(_BLOCK):
                    yield block
                    done += len(block)
                    crate.source.progress(done, total, entry.name)

            name, description = f"{folder}files/{plain}", f"As the instrument wrote it: {entry.name}"
            more = {"title": PurePosixPath(entry.name).name, "description": description}
            moment = datetime.fromtimestamp(min(max(entry.mtime_ns // 10**9, 0), 1 << 32), UTC)
            found = crate.add(graph, name, blocks(), size=entry.size, moment=moment, **more)
        if graph.entities[name]["sha256"] != entry.sha256:
            raise IntegrityError(
                "the file is not what the manifest lists", where=entry.name, next="See what is wrong: diadem status"
            )
        yield found


def _plain_paths(paths: Sequence[str]) -> Iterator[str]:
    """Paths of plain names. Files and folders that only other letters told apart get numbers; a folder has one name."""
    known, taken = {"": ""}, set[str]()
    for path in paths:
        before = ""
        for part in path.split("/"):
            here = f"{before}/{part}"
            if here not in known:
                plain = PurePosixPath(_plain(part))
                found, number = plain.name, 1
                while (full := f"{known[before]}/{found}").casefold() in taken:
                    number += 1
                    found = f"{plain.stem}-{number}{plain.suffix}"
                taken.add(full.casefold())
                known[here] = full
            before = here
        yield known[before][1:]


def _plain(name: str) -> str:
    """A name that is the same in an address and in a ZIP: notebooks do not decode ``%20``. It leads nowhere else."""
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return re.sub(r"^\.+", "_", re.sub(r"[^A-Za-z0-9._-]+", "_", "".join(letters))) or "_"


class _Crate:
    """The ZIP with its one folder. The same files give the same bytes: its times are those of the export."""

    def __init__(self, archive: zipfile.ZipFile, root: str, source: ExportSource) -> None:
        self.source = source
        self._archive, self._root = archive, root

    def write(
        self, name: str, blocks: Iterable[bytes], *, moment: datetime | None = None, size: int | None = None
    ) -> tuple[int, str]:
        """Write a file block by block; its size and SHA-256. One of a size that is known is stored as it is."""
        when = (moment or self.source.moment).astimezone(UTC).timetuple()[:6]
        info = zipfile.ZipInfo(f"{self._root}/{name.removeprefix('./')}", min(max(when, _EARLIEST), _LATEST))
        info.compress_type = zipfile.ZIP_DEFLATED if size is None else zipfile.ZIP_STORED
        info.create_system, info.external_attr, info.file_size = 3, 0o100644 << 16, size or 0
        written, digest = 0, hashlib.sha256()
        with self._archive.open(info, "w", force_zip64=size is None) as member:
            for block in blocks:
                member.write(block)
                digest.update(block)
                written += len(block)
        return written, digest.hexdigest()

    def add(
        self, graph: Graph, name: str, blocks: Iterable[bytes], *, title: str, description: str, **more: Any
    ) -> Reference:
        """Write a file, and say what it is."""
        size, digest = self.write(name, blocks, **more)
        about = {"name": title, "description": description, "encodingFormat": media_type(name)}
        return graph.add(name, "File", **about, contentSize=str(size), sha256=digest)
