"""The RO-Crate 1.2 metadata document of a package: `data/ro-crate-metadata.json`.

The crate's root is the payload directory ("adding RO-Crate to BagIt" in the specification's implementation notes). It
describes the session, the people and up to `MAX_DESCRIBED` datasets; it is no inventory: the manifest is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH
from diadem.model.plain_text import count_text, fit, size_text, value_text
from diadem.terms.fields import field as known_field
from diadem.terms.fields import is_field
from diadem.trust.hashing import payload_urn

#: The terms of RO-Crate 1.2, and Bioschemas' Sample, which it lacks, under the address that roc-validator looks for.
CONTEXT = ["https://w3id.org/ro/crate/1.2/context", {"Sample": "https://bioschemas.org/Sample"}]
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
#: The profile of crates of electron microscopy: docs/crate-profile.md, and schemas/crate-profile/1.0.0/em.ttl.
PROFILE = "https://diadem-em.org/crate-profile/1.0.0"
#: The text where nobody stated a licence.
NO_LICENCE = "No licence stated; ask the owner"
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
#: Addresses of licences that are often given by their SPDX name only.
_LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC-BY-ND-4.0": "https://creativecommons.org/licenses/by-nd/4.0/",
}
#: Keys of a part of the record that have terms of their own in the crate; the others are properties named as there.
_TERMS = {
    "session": {"title", "date", "end_date", "keywords", "description", "license"},
    "sample": {"identifier", "name", "description", "other_names"},
    "instrument": {"name", "model", "serial", "vendor"},
}
_START = "time.acquired_start"
#: An address that may stand as an `@id` as it is: RFC 3986 characters only.
_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?\Z"
)
_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])\Z")
#: The identifier of a sample that is registered everywhere: an IGSN, which is a DOI, with what people write before it.
_IGSN = re.compile(
    r"(?:igsn:|doi:|https?://(?:dx\.)?doi\.org/)?(10\.[0-9]{4,9}/[A-Za-z0-9._~!$&'()*+,;=:@/-]+)\Z", re.IGNORECASE
)
_ROR = re.compile(r"https://ror\.org/0[0-9a-z]{6}[0-9]{2}\Z")

Entity = dict[str, Any]
Reference = dict[str, str]


def crate_json(facts: PackageFacts) -> bytes:
    """The crate of a package: UTF-8 JSON-LD, flattened and compacted, of terms of the RO-Crate 1.2 context only.

    The same facts give the same bytes. With more than `MAX_DESCRIBED` datasets only their number is told.
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
    people = add_people(graph, facts.people)
    record = graph.add(
        _RECORD,
        "File",
        name="DIADEM record",
        description="The extended metadata of every dataset: values with units, each with its evidence.",
        encodingFormat="application/json",
    )
    few = facts.dataset_count <= MAX_DESCRIBED
    described = facts.datasets if few else ()
    datasets = [_dataset(graph, number, one) for number, one in enumerate(described, 1)]
    graph.add(_PAGE, "CreativeWork", name="Preview of this package", about={"@id": "./"}, encodingFormat="text/html")
    start, end = days_of(facts)
    kind, urn = "PropertyValue", payload_urn(fit(facts.payload_id))
    own = Graph()
    own.add(
        "./",
        "Dataset",
        name=facts.name.strip() or "Untitled session",
        description=_description(facts),
        conformsTo=graph.add(
            PROFILE, ["CreativeWork", "Profile"], name="RO-Crate profile for electron microscopy", version="1.0.0"
        ),
        datePublished=facts.archived,
        license=add_licence(graph, facts.license.strip()),
        identifier=[
            graph.add("#payload-id", kind, propertyID="Diadem-Payload-Id", name="Payload id", value=facts.payload_id),
            graph.add("#external-identifier", kind, propertyID="External-Identifier", name="UUID", value=urn),
        ],
        author=people,
        keywords=[str(word) for word in facts.session.get("keywords", ())],
        temporalCoverage=f"{start}/{end}" if start and end and start != end else start,
        additionalProperty=graph.add("#dataset-count", kind, name="Number of datasets", value=facts.dataset_count),
        isBasedOn=graph.add(
            "#predecessor",
            "CreativeWork",
            name="The package that this one continues",
            description="This package holds only files that are new or changed since that one was made.",
            identifier=facts.continues,
        )
        if facts.continues
        else None,
        mentions=_actions(graph, facts, people, described),
        hasPart=[record, *datasets],
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


def add_licence(graph: Graph, text: str) -> Reference:
    """The licence: under its address where it has one, else as text."""
    if address := licence_address(text):
        return graph.add(address, "CreativeWork", name=text, description=f"Licence of the data: {text}")
    stated = text or NO_LICENCE
    return graph.add(f"{graph.prefix}license", "CreativeWork", name=stated, description=stated)


def days_of(facts: PackageFacts) -> tuple[str, str]:
    """First day and last: as a person says, else as the files do; "" where nobody does."""
    if start := str(facts.session.get("date", "")):
        return start, str(facts.session.get("end_date", ""))
    return facts.days or ("", "")


def _actions(
    graph: Graph, facts: PackageFacts, people: list[Reference], described: Sequence[DatasetFacts]
) -> list[Reference]:
    """What was done, as a person or else the files say: the session, each dataset of it, and the packaging."""
    stated = _instruments(facts)
    instruments = [_instrument(graph, number, one) for number, one in enumerate(stated, 1)]
    operators = [one for one, said in zip(people, facts.people, strict=True) if said.get("role") == "operator"]
    agents = operators or people or add_people(graph, [{"name": one, "role": "operator"} for one in facts.operators])
    shared = {"agent": agents, "object": _sample(graph, facts.sample)}
    start, end = days_of(facts)
    session = {
        **shared,
        "instrument": instruments[0] if len(instruments) == 1 else instruments,
        "startTime": start,
        "endTime": end,
        "additionalProperty": _properties(graph, "session", facts.session),
    }
    kind, actions = "CreateAction", list[Reference]()
    if any(session.values()):
        terms = {"name": "Acquisition of the data", "result": {"@id": "./"}, **session}
        actions.append(graph.add("#acquisition", kind, **terms))
    for number, one in enumerate(described, 1):
        if settings := _settings(graph, one):
            own = stated.index(one.instrument) if one.instrument in stated else None if len(stated) != 1 else 0
            terms = {
                "name": f"Acquisition of {one.primary}",
                "result": {"@id": f"#dataset-{number}"},
                **shared,
                **settings,
            }
            instrument = instruments[own] if own is not None else None
            actions.append(graph.add(f"#acquisition-{number}", kind, instrument=instrument, **terms))
    if facts.software:
        terms = {"description": f"Done by {facts.software}", "result": {"@id": "./"}, "endTime": facts.archived}
        actions.append(graph.add("#packaging", kind, name="Packaging of the data", **terms))
    return actions


def _settings(graph: Graph, dataset: DatasetFacts) -> dict[str, Any]:
    """When a dataset was taken, and with which settings; empty where it states none."""
    # By key, unit and value, so that the order in which fields were found leaves no trace.
    stated = sorted(dataset.properties, key=lambda item: (item[0], item[3], str(property_value(item[2])), item[1]))
    began = next((str(value) for key, _, value, _ in stated if key == _START), "")
    found = (graph.add_property(key, value, unit=unit, term=term) for key, term, value, unit in stated if key != _START)
    terms = {"startTime": began, "additionalProperty": [reference for reference in found if reference is not None]}
    return terms if any(terms.values()) else {}


def _instruments(facts: PackageFacts) -> Sequence[Mapping[str, Any]]:
    """The one that a person names, else those of the files: to a single one belongs what else a person says."""
    said = facts.instrument
    if said.keys() & {"model", "name"} or not facts.instruments:
        return [said] if said else []
    return [{**facts.instruments[0], **said}] if len(facts.instruments) == 1 else facts.instruments


# -- datasets ----------------------------------------------------------------------------------------------------------


def _dataset(graph: Graph, number: int, dataset: DatasetFacts) -> Reference:
    technique = next((str(value) for key, _, value, _ in dataset.properties if key == "signal.technique"), "")
    sentences = [f"{dataset.format}, {count_text(dataset.file_count, 'file')}, {size_text(dataset.size)}."]
    sentences += [f"{signal}." for signal in dataset.signals]
    sentences += [f"Note: {issue}" for issue in dataset.issues]
    path = PurePosixPath(dataset.primary)
    primary = graph.add(
        quote(dataset.primary, safe="/", errors="replace"),
        "File",
        name=path.name,
        description=f"Primary file of a dataset; format: {dataset.format}.",
        encodingFormat=media_type(dataset.primary),
        contentSize=str(dataset.size) if dataset.file_count == 1 else "",
    )
    return graph.add(
        f"#dataset-{number}",
        "Dataset",
        name=dataset.primary,
        identifier=dataset.id,
        description=" ".join(sentences),
        hasPart=[primary],
        measurementTechnique=technique,
    )


def media_type(path: str) -> str:
    """The media type of a file by its name."""
    return _MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")


# -- people, sample, instruments ---------------------------------------------------------------------------------------


def add_people(graph: Graph, people: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Every person once, by ORCID iD where given."""
    references = []
    for number, person in enumerate(people, 1):
        identifier = orcid_address(str(person.get("orcid", ""))) or f"{graph.prefix}person-{number}"
        if identifier in graph.entities:
            identifier = f"{graph.prefix}person-{number}"
        reference = graph.add(
            identifier,
            "Person",
            name=str(person.get("name", "")) or "Unnamed person",
            description=str(person.get("role", "")),
            email=str(person.get("email", "")),
            affiliation=_organisation(graph, person.get("affiliation", ""), person.get("affiliation_ror", "")),
        )
        references.append(reference)
    return references


def _organisation(graph: Graph, name: object, ror: object = "") -> Reference | None:
    """An organisation by ROR identifier or by name; None where neither is given."""
    known = str(ror) if _ROR.match(str(ror)) else ""
    label = str(name) or known
    if not label:
        return None
    own = f"{graph.prefix}organization-"
    taken = sum(identifier.startswith(own) for identifier in graph.entities)
    for identifier, entity in graph.entities.items():
        if not known and identifier.startswith(own) and entity["name"] == fit(label):
            return {"@id": identifier}
    return graph.add(known or f"{own}{taken + 1}", "Organization", name=label, url=known)


def _sample(graph: Graph, sample: Mapping[str, Any]) -> Reference | None:
    if not sample:
        return None
    names, known = sample.get("other_names"), igsn_address(str(sample.get("identifier", "")))
    return graph.add(
        known if known and known not in graph.entities else "#sample",
        "Sample",
        name=str(sample.get("name") or sample.get("identifier") or "Sample"),
        identifier=str(sample.get("identifier", "")),
        description=str(sample.get("description", "")),
        alternateName=[str(name) for _, name in sorted(names.items())] if isinstance(names, Mapping) else [],
        additionalProperty=_properties(graph, "sample", sample),
    )


def _instrument(graph: Graph, number: int, instrument: Mapping[str, Any]) -> Reference:
    """An instrument, under its persistent identifier where it has one."""
    pid = str(instrument.get("pid", ""))
    known = is_address(pid) and pid not in graph.entities
    return graph.add(
        pid if known else "#instrument" if number == 1 else f"#instrument-{number}",
        "IndividualProduct",
        name=str(instrument.get("name") or instrument.get("model") or "Instrument"),
        model=str(instrument.get("model", "")),
        serialNumber=str(instrument.get("serial", "")),
        manufacturer=_organisation(graph, instrument.get("vendor", "")),
        additionalProperty=_properties(graph, "instrument", instrument),
    )


def _properties(graph: Graph, part: str, values: Mapping[str, Any]) -> list[Reference]:
    """Properties for the keys that have no term of their own."""
    references = []
    for key in sorted(values.keys() - _TERMS[part]):
        value = values[key] if isinstance(values[key], (int, float)) else value_text(values[key])
        name = f"{part}.{key}"
        unit, term = (known_field(name).unit, known_field(name).emg) if is_field(name) else ("", "")
        references.append(graph.add_property(name, value, unit=unit, term=term))
    return [reference for reference in references if reference is not None]


# -- the graph ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Graph:
    """The entities of a crate in the order in which they were added, each `@id` once; its own names have a prefix."""

    prefix: str = "#"
    entities: dict[str, Entity] = field(default_factory=dict)
    _shared: dict[str, str] = field(default_factory=dict)

    def add(self, identifier: str, kind: str | list[str], /, **terms: Any) -> Reference:
        """Add an entity, unless one has its `@id`; terms that say nothing are left out."""
        entity: Entity = {"@id": identifier, "@type": kind}
        entity.update((term, _fit_value(value)) for term, value in terms.items() if value not in ("", None, [], {}))
        self.entities.setdefault(identifier, entity)
        return {"@id": identifier}

    def add_property(self, name: str, value: Any, *, unit: str = "", term: str = "") -> Reference | None:
        """Add a `PropertyValue`; equal ones are one entity. None for a value that says nothing.

        Sharing keeps the crate of a thousand images small: most have the same voltage.
        """
        plain = property_value(value)
        if plain in (None, ""):
            return None
        return self.share("PropertyValue", propertyID=term, name=name, value=plain, unitText=unit)

    def share(self, kind: str, /, **terms: Any) -> Reference:
        """Add an entity of which only its terms matter: equal ones are one."""
        key = json.dumps([kind, terms])
        identifier = self._shared.setdefault(key, f"{self.prefix}property-{len(self._shared) + 1}")
        return self.add(identifier, kind, **terms)


def property_value(value: Any) -> Any:
    """A value as JSON-LD can hold it without loss of order: a number, a truth or text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return fit(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _fit_value(value: Any) -> Any:
    if isinstance(value, str):
        return fit(value)
    return [_fit_value(item) for item in value] if isinstance(value, list) else value


def is_address(text: str) -> bool:
    """Whether the text is an absolute http(s) address in plain RFC 3986 characters, without query and fragment."""
    return _ADDRESS.match(text) is not None


def orcid_address(text: str) -> str:
    """The address of an ORCID iD, written with or without its site; "" for anything else."""
    match = _ORCID.match(text)
    return f"https://orcid.org/{match[1]}" if match else ""


def igsn_address(text: str) -> str:
    """The address of a sample's IGSN or DOI, however it is written; "" for a laboratory's own name."""
    match = _IGSN.match(text)
    return f"https://doi.org/{match[1]}" if match else ""


def licence_address(text: str) -> str:
    """The address of a licence given by address or well-known SPDX name, else ""."""
    return text if is_address(text) else _LICENCES.get(text, "")
