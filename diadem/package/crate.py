"""The RO-Crate 1.2 metadata document of a package: `data/ro-crate-metadata.json`.

The crate's root is the payload directory ("adding RO-Crate to BagIt" in the specification's implementation notes). It
describes the session, the people and up to `MAX_DESCRIBED` datasets; it is no inventory: the manifest is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH
from diadem.model.plain_text import count_text, fit, size_text
from diadem.package.crate_entities import (
    Entity,
    Graph,
    Reference,
    add_instruments,
    add_licence,
    add_people,
    add_sample,
    add_session_properties,
    property_value,
)
from diadem.trust.hashing import payload_urn

CONTEXT = "https://w3id.org/ro/crate/1.2/context"
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
_DESCRIPTOR, _RECORD, _PAGE = (path.removeprefix("data/") for path in (CRATE_PATH, RECORD_PATH, PAGE_PATH))
#: Media types by suffix, for `encodingFormat`; not taken from the system, whose table differs from machine to machine.
_MEDIA_TYPES = {
    ".bmp": "image/bmp",
    ".csv": "text/csv",
    ".emd": "application/x-hdf5",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".hspy": "application/x-hdf5",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".nxs": "application/x-hdf5",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".zip": "application/zip",
}


def crate_json(facts: PackageFacts) -> bytes:
    """The crate of a package.

    Parameters
    ----------
    facts : PackageFacts
        The package in plain words. With more than `MAX_DESCRIBED` datasets only their number is told.

    Returns
    -------
    bytes
        UTF-8 JSON-LD, flattened and compacted, of terms of the RO-Crate 1.2 context only. The same facts give the
        same bytes.
    """
    graph = Graph()
    graph.add(
        _DESCRIPTOR,
        "CreativeWork",
        about={"@id": "./"},
        conformsTo={"@id": SPECIFICATION},
        name="RO-Crate metadata of this package",
    )
    graph.entities["./"] = {}  # its place is second; its terms need the references of what follows
    graph.entities["./"] = _root(graph, facts)
    document = {"@context": CONTEXT, "@graph": list(graph.entities.values())}
    return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def _root(graph: Graph, facts: PackageFacts) -> Entity:
    session = facts.session
    people = add_people(graph, facts.people)
    parts = [_record(graph), *_datasets(graph, facts)]
    graph.add(_PAGE, "CreativeWork", name="Preview of this package", about={"@id": "./"}, encodingFormat="text/html")
    own = Graph()
    own.add(
        "./",
        "Dataset",
        name=facts.name.strip() or "Untitled session",
        description=_description(facts),
        datePublished=facts.archived,
        license=add_licence(graph, facts.license.strip()),
        identifier=_identifiers(graph, facts.payload_id),
        author=people,
        keywords=[str(word) for word in session.get("keywords", ())],
        temporalCoverage=_coverage(facts),
        variableMeasured=[_count(graph, facts), *add_session_properties(graph, session)],
        isBasedOn=_predecessor(graph, facts),
        mentions=_actions(graph, facts, people),
        hasPart=parts,
    )
    return own.entities["./"]


def _description(facts: PackageFacts) -> str:
    said = str(facts.description or facts.session.get("description", "")).strip() or "Electron-microscopy session."
    counted = (
        f"{count_text(facts.dataset_count, 'dataset')} in {count_text(facts.file_count, 'file')},"
        f" {size_text(facts.total_bytes)}."
    )
    left_out = f" Left out, and listed in {_RECORD}: {count_text(len(facts.omitted), 'item')}." if facts.omitted else ""
    return f"{said} {counted}{left_out}"


def _identifiers(graph: Graph, payload: str) -> list[Reference]:
    urn = payload_urn(fit(payload))
    return [
        graph.add("#payload-id", "PropertyValue", propertyID="Diadem-Payload-Id", name="Payload id", value=payload),
        graph.add("#external-identifier", "PropertyValue", propertyID="External-Identifier", name="UUID", value=urn),
    ]


def _predecessor(graph: Graph, facts: PackageFacts) -> Reference | None:
    if not facts.continues:
        return None
    return graph.add(
        "#predecessor",
        "CreativeWork",
        name="The package that this one continues",
        description="This package holds only files that are new or changed since that one was made.",
        identifier=facts.continues,
    )


def _count(graph: Graph, facts: PackageFacts) -> Reference:
    graph.add("#dataset-count", "PropertyValue", name="Number of datasets", value=facts.dataset_count)
    return {"@id": "#dataset-count"}


def _coverage(facts: PackageFacts) -> str:
    start, end = _days(facts)
    return f"{start}/{end}" if start and end and start != end else start


def _days(facts: PackageFacts) -> tuple[str, str]:
    """First day and last: as a person says, else as the files do."""
    if start := str(facts.session.get("date", "")):
        return start, str(facts.session.get("end_date", ""))
    return facts.days or ("", "")


def _actions(graph: Graph, facts: PackageFacts, people: list[Reference]) -> list[Reference]:
    """What was done: the session at the microscope, and the packaging."""
    actions = [_acquisition(graph, facts, people), _packaging(graph, facts)]
    return [action for action in actions if action is not None]


def _acquisition(graph: Graph, facts: PackageFacts, people: list[Reference]) -> Reference | None:
    """The session: what a person says of it, else what the files do."""
    sample = add_sample(graph, facts.sample)
    instruments = add_instruments(graph, _instruments(facts))
    agents = people or add_people(graph, [{"name": name, "role": "operator"} for name in facts.operators])
    start, end = _days(facts)
    if sample is None and not instruments and not agents and not start:
        return None
    return graph.add(
        "#acquisition",
        "CreateAction",
        name="Acquisition of the data",
        agent=agents,
        instrument=instruments[0] if len(instruments) == 1 else instruments,
        object=sample,
        result={"@id": "./"},
        startTime=start,
        endTime=end,
    )


def _instruments(facts: PackageFacts) -> Sequence[Mapping[str, Any]]:
    """The one that a person names, else those of the files: to a single one belongs what else a person says."""
    said = facts.instrument
    if said.keys() & {"model", "name"} or not facts.instruments:
        return [said] if said else []
    return [{**facts.instruments[0], **said}] if len(facts.instruments) == 1 else facts.instruments


def _packaging(graph: Graph, facts: PackageFacts) -> Reference | None:
    if not facts.software:
        return None
    terms = {"description": f"Done by {facts.software}", "result": {"@id": "./"}, "endTime": facts.archived}
    return graph.add("#packaging", "CreateAction", name="Packaging of the data", **terms)


def _record(graph: Graph) -> Reference:
    return graph.add(
        _RECORD,
        "File",
        name="DIADEM record",
        description="The extended metadata of every dataset: values with units, each with its evidence.",
        encodingFormat="application/json",
    )


def _datasets(graph: Graph, facts: PackageFacts) -> list[Reference]:
    if facts.dataset_count > MAX_DESCRIBED:
        return []
    return [_dataset(graph, number, dataset) for number, dataset in enumerate(facts.datasets, 1)]


def _dataset(graph: Graph, number: int, dataset: DatasetFacts) -> Reference:
    measured = [
        graph.add_property(key, value, unit=unit, term=term) for key, term, value, unit in _in_order(dataset.properties)
    ]
    return graph.add(
        f"#dataset-{number}",
        "Dataset",
        name=dataset.primary,
        identifier=dataset.id,
        description=_dataset_description(dataset),
        hasPart=[_primary_file(graph, dataset)],
        variableMeasured=[reference for reference in measured if reference is not None],
    )


def _in_order(properties: Any) -> list[tuple[str, str, Any, str]]:
    """By key, unit and value, so that the order in which fields were found leaves no trace."""
    return sorted(properties, key=lambda item: (item[0], item[3], str(property_value(item[2])), item[1]))


def _dataset_description(dataset: DatasetFacts) -> str:
    sentences = [f"{dataset.format}, {count_text(dataset.file_count, 'file')}, {size_text(dataset.size)}."]
    sentences += [f"{signal}." for signal in dataset.signals]
    sentences += [f"Note: {issue}" for issue in dataset.issues]
    return " ".join(sentences)


def _primary_file(graph: Graph, dataset: DatasetFacts) -> Reference:
    path = PurePosixPath(dataset.primary)
    return graph.add(
        quote(dataset.primary, safe="/", errors="replace"),
        "File",
        name=path.name,
        description=f"Primary file of a dataset; format: {dataset.format}.",
        encodingFormat=_MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"),
        contentSize=str(dataset.size) if dataset.file_count == 1 else "",
    )
