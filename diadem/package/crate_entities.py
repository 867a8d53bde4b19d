"""Contextual entities of the crate: licence, people, organisations, sample, instrument, properties."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diadem.model.plain_text import fit, value_text

Entity = dict[str, Any]
Reference = dict[str, str]

#: Addresses of licences that are often given by their SPDX name only.
_LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC-BY-ND-4.0": "https://creativecommons.org/licenses/by-nd/4.0/",
}
#: The text where nobody stated a licence.
NO_LICENCE = "No licence stated; ask the owner"
#: An address that may stand as an `@id` as it is: RFC 3986 characters only.
_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?\Z"
)
_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])\Z")
_ROR = re.compile(r"https://ror\.org/0[0-9a-z]{6}[0-9]{2}\Z")


def is_address(text: str) -> bool:
    """Whether the text is an absolute http(s) address in plain RFC 3986 characters, without query and fragment."""
    return _ADDRESS.match(text) is not None


def orcid_address(text: str) -> str:
    """The address of an ORCID iD, written with or without its site; "" for anything else."""
    match = _ORCID.match(text)
    return f"https://orcid.org/{match[1]}" if match else ""


def licence_address(text: str) -> str:
    """The address of a licence given by address or well-known SPDX name, else ""."""
    return text if is_address(text) else _LICENCES.get(text, "")


@dataclass(slots=True)
class Graph:
    """The entities of a crate in the order in which they were added, each `@id` once.

    Attributes
    ----------
    entities : dict of str to Entity
        `@id` to entity.
    """

    entities: dict[str, Entity] = field(default_factory=dict)
    _properties: dict[str, str] = field(default_factory=dict)

    def add(self, identifier: str, kind: str, /, **terms: Any) -> Reference:
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
        key = json.dumps([name, term, plain, unit])
        identifier = self._properties.setdefault(key, f"#property-{len(self._properties) + 1}")
        return self.add(identifier, "PropertyValue", propertyID=term, name=name, value=plain, unitText=unit)


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


def add_licence(graph: Graph, text: str) -> Reference:
    """The licence as an entity: under its address where it has one, else as text."""
    address = licence_address(text)
    if address:
        return graph.add(address, "CreativeWork", name=text, description=f"Licence of the data: {text}")
    stated = text or NO_LICENCE
    return graph.add("#license", "CreativeWork", name=stated, description=stated)


def add_people(graph: Graph, people: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Every person once, by ORCID iD where given."""
    references = []
    for number, person in enumerate(people, 1):
        identifier = orcid_address(str(person.get("orcid", ""))) or f"#person-{number}"
        if identifier in graph.entities:
            identifier = f"#person-{number}"
        references.append(
            graph.add(
                identifier,
                "Person",
                name=str(person.get("name", "")) or "Unnamed person",
                description=str(person.get("role", "")),
                email=str(person.get("email", "")),
                affiliation=add_organisation(graph, person.get("affiliation", ""), person.get("affiliation_ror", "")),
            )
        )
    return references


def add_organisation(graph: Graph, name: object, ror: object = "") -> Reference | None:
    """An organisation by ROR identifier or by name; None where neither is given."""
    known = str(ror) if _ROR.match(str(ror)) else ""
    label = str(name) or known
    if not label:
        return None
    taken = sum(identifier.startswith("#organization-") for identifier in graph.entities)
    for identifier, entity in graph.entities.items():
        if not known and identifier.startswith("#organization-") and entity["name"] == fit(label):
            return {"@id": identifier}
    return graph.add(known or f"#organization-{taken + 1}", "Organization", name=label, url=known)


def add_sample(graph: Graph, sample: Mapping[str, Any]) -> Reference | None:
    """The sample; what schema.org has no word for are properties named as in the record."""
    if not sample:
        return None
    plain = {"identifier", "name", "description", "other_names"}
    names = sample.get("other_names")
    others = [str(name) for _, name in sorted(names.items())] if isinstance(names, Mapping) else []
    return graph.add(
        "#sample",
        "Thing",
        name=str(sample.get("name") or sample.get("identifier") or "Sample"),
        identifier=str(sample.get("identifier", "")),
        description=str(sample.get("description", "")),
        alternateName=others,
        additionalProperty=_rest(graph, "sample", sample, plain, {"thickness": "m"}),
    )


def add_instruments(graph: Graph, instruments: Sequence[Mapping[str, Any]]) -> list[Reference]:
    """Every instrument, under its persistent identifier where it has one."""
    return [_instrument(graph, number, instrument) for number, instrument in enumerate(instruments, 1)]


def _instrument(graph: Graph, number: int, instrument: Mapping[str, Any]) -> Reference:
    pid = str(instrument.get("pid", ""))
    known = is_address(pid) and pid not in graph.entities
    return graph.add(
        pid if known else "#instrument" if number == 1 else f"#instrument-{number}",
        "IndividualProduct",
        name=str(instrument.get("name") or instrument.get("model") or "Instrument"),
        model=str(instrument.get("model", "")),
        serialNumber=str(instrument.get("serial", "")),
        manufacturer=add_organisation(graph, instrument.get("vendor", "")),
        additionalProperty=_rest(graph, "instrument", instrument, {"name", "model", "serial", "vendor"}, {}),
    )


def _rest(
    graph: Graph, prefix: str, source: Mapping[str, Any], without: set[str], units: Mapping[str, str]
) -> list[Reference]:
    """Properties for the keys that have no term of their own."""
    references = []
    for key in sorted(set(source) - without):
        value = source[key] if isinstance(source[key], (int, float)) else value_text(source[key])
        references.append(graph.add_property(f"{prefix}.{key}", value, unit=units.get(key, "")))
    return [reference for reference in references if reference is not None]


def add_session_properties(graph: Graph, session: Mapping[str, Any]) -> list[Reference]:
    """What the session says beyond its title, dates, keywords, description and licence."""
    return _rest(graph, "session", session, {"title", "date", "end_date", "keywords", "description", "license"}, {})
