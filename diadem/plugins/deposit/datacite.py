"""A package as DataCite describes it: the metadata that a DOI is registered with (schema 4.6, as JSON).

What is stated comes from the record as it holds now. What the record cannot know, a person says by options; a required
fact that nobody has stated is asked for, never made up. Words that 4.6 added are not used: older readers take it too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from diadem.errors import Refused, UsageError
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.plain_text import count_text, first_of, fit, one_line, quoted, size_text
from diadem.package.crate import NO_LICENCE, licence_address, orcid_address
from diadem.trust.hashing import payload_urn

#: Relations of DataCite to something else (4.5 and 4.6), by what people write.
_RELATIONS: Final = {
    name.casefold(): name
    for name in (
        "Cites", "Collects", "Compiles", "Continues", "Describes", "Documents", "HasMetadata", "HasPart", "HasVersion",
        "IsCitedBy", "IsCollectedBy", "IsCompiledBy", "IsContinuedBy", "IsDerivedFrom", "IsDescribedBy",
        "IsDocumentedBy", "IsIdenticalTo", "IsMetadataFor", "IsNewVersionOf", "IsObsoletedBy", "IsOriginalFormOf",
        "IsPartOf", "IsPreviousVersionOf", "IsPublishedIn", "IsReferencedBy", "IsRequiredBy", "IsReviewedBy",
        "IsSourceOf", "IsSupplementTo", "IsSupplementedBy", "IsVariantFormOf", "IsVersionOf", "Obsoletes",
        "References", "Requires", "Reviews",
    )
}  # fmt: skip
_DOI: Final = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/\S+)\Z", re.IGNORECASE)
_CREATOR: Final = re.compile(
    r"(.*?)\s*((?:https://orcid\.org/)?[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])?\Z", re.DOTALL
)


def export(source: ExportSource, target: ExportTarget, **options: Any) -> dict[str, str]:
    """Write the description; see `diadem.hooks.exporters`."""
    source.progress(0, 1, target.name)
    document = described(source, **options)
    require(document, source.package, "DataCite", "OUT.json --as datacite", options)
    target.path.write_bytes(encoded(document))
    source.progress(1, 1, target.name)
    return {"creators": "; ".join(one["name"] for one in document["creators"])}


def encoded(document: Mapping[str, Any]) -> bytes:
    """The description as it stands in a file."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def described(
    source: ExportSource,
    *,
    publisher: str = "",
    creators: Sequence[str] = (),
    license: str = "",  # noqa: A002
    related: Sequence[str] = (),
    year: int | None = None,
) -> dict[str, Any]:
    """All that is known of a package in the words of DataCite; what is required may be missing."""
    package = source.package
    facts = package.facts
    if len(creators) > 1 and not any(
        re.search("[ ,]", one.strip()) for one in creators
    ):  # one name, taken apart at its comma
        both = "; ".join(creators)
        raise UsageError(f"creators of one word each: {both}", next='Write "creators=Marie Curie", or "Curie, Marie;"')
    if license and not licence_address(license):
        write = "Give its SPDX name, such as CC-BY-4.0 or CC0-1.0; else the address of its text: https://…"
        raise UsageError(f"'{one_line(license)}' is no licence that is known here", next=write)
    people = [_named(one) for one in creators] or [_person(one) for one in facts.people]
    title = fit(facts.name).strip()
    said: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Electron microscopy session"},
        "creators": list({one["name"]: one for one in people}.values()),
        "titles": [{"title": title}] if title else [],
        "publisher": {"name": publisher} if publisher else None,
        "publicationYear": str(year or source.moment.year),
        "subjects": [{"subject": fit(word)} for word in dict.fromkeys(facts.session.get("keywords", ()))],
        "dates": _dates(package),
        "alternateIdentifiers": [
            {"alternateIdentifier": package.id, "alternateIdentifierType": "DIADEM package id"},
            {"alternateIdentifier": payload_urn(package.payload_id), "alternateIdentifierType": "UUID of the payload"},
        ],
        "relatedIdentifiers": [*_instrument(package), *map(_related, related)],
        "sizes": [size_text(facts.total_bytes), count_text(facts.file_count, "file")],
        "formats": sorted({one.primary.format or "unknown" for one in package.datasets}),
        "rightsList": _rights(license or facts.license),
        "descriptions": _descriptions(package),
    }
    return {key: value for key, value in said.items() if value or key in ("creators", "titles")}


def require(
    document: Mapping[str, Any], package: ExportedPackage, by: str, where: str, options: Mapping[str, Any]
) -> None:
    """Raise `Refused` where required facts are not there: which, and the command, of a place and form, with them."""
    found = package.facts.operators
    files = f" (operators in the files: {first_of(found, 5)})" if found else ""
    names = (
        [one for one in found if re.search("[ ,]", one)]
        or found[:1]
        or ["Marie Curie 0000-0002-1825-0097", "Pierre Curie"]
    )
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "creators": (f"who made it{files}", {"creators": names}),
        "titles": ("a title", {}),
        "publisher": ("who publishes it", {"publisher": "Humboldt-Universität zu Berlin"}),
    }
    lacks = {key: told for key, told in asked.items() if not document.get(key)}
    if not lacks:
        return
    given = dict(options)
    for _, more in lacks.values():
        given |= more
    texts = "".join(f" --option {quoted(f'{name}={_option_text(value)}')}" for name, value in given.items())
    title = f'Give it a title: diadem amend {package.id} --set "session.title=ZnO nanorods"; then: '
    raise Refused(
        f"{by} requires what nobody has stated: {'; '.join(what for what, _ in lacks.values())}",
        where=package.id,
        next=f"{title if 'titles' in lacks else 'Say it: '}diadem export {package.id} {where}{texts}",
    )


def _option_text(value: Any) -> str:
    """An option as a command line has it; of names, which may have commas, none has a blank behind one."""
    if isinstance(value, str | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    texts = [re.sub(r",\s+", ",", one) for one in value]
    return ";".join(texts) + ";" * (len(texts) == 1 and "," in texts[0])


def _named(text: str) -> dict[str, Any]:
    """A creator as a person writes one: a name, and perhaps an ORCID iD. Raises `UsageError` for an iD mistyped."""
    match = _CREATOR.match(text.strip())
    name, orcid = (match[1].strip(" ,;"), match[2] or "") if match else ("", "")
    if not name:
        raise UsageError(f"'{text}' names nobody", next="Write: Marie Curie 0000-0002-1825-0097")
    if orcid and not _checks(orcid[-19:]):
        raise UsageError(f"'{orcid}' is not an ORCID iD: its check character does not fit", next="Copy it anew.")
    return _person({"name": name, "orcid": orcid})


def _checks(orcid: str) -> bool:
    """Whether the last character is the check character of the others (ISO 7064, MOD 11-2)."""
    *digits, last = list(orcid.replace("-", ""))
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return last == "0123456789X"[(12 - total % 11) % 11]


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    """A person of the record. Only a comma says which part of a name is the family's."""
    name = fit(person.get("name", "")).strip()
    family, comma, given = (part.strip() for part in name.partition(","))
    said: dict[str, Any] = {"name": name, "nameType": "Personal"}
    if comma and family and given:
        said |= {"name": f"{family}, {given}", "givenName": given, "familyName": family}
    if orcid := orcid_address(str(person.get("orcid", ""))):
        said["nameIdentifiers"] = [
            {"nameIdentifier": orcid, "nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}
        ]
    if work := fit(person.get("affiliation", "")).strip() or str(person.get("affiliation_ror", "")):
        place = {"name": work}
        if ror := person.get("affiliation_ror"):
            place |= {
                "affiliationIdentifier": str(ror),
                "affiliationIdentifierScheme": "ROR",
                "schemeUri": "https://ror.org",
            }
        said["affiliation"] = [place]
    return said


def _dates(package: ExportedPackage) -> list[dict[str, str]]:
    """When it was recorded and archived, and when it was last corrected."""
    facts = package.facts
    first, last = str(facts.session.get("date", "")), str(facts.session.get("end_date", ""))
    if not first and facts.days:
        first, last = facts.days
    span = f"{first}/{last}" if last and last != first else first
    corrected = max((one.amendment.time for one in package.corrections), default="")
    dates = {"Collected": span, "Created": facts.archived[:10], "Updated": corrected[:10]}
    return [{"date": date, "dateType": kind} for kind, date in dates.items() if date]


def _instrument(package: ExportedPackage) -> list[dict[str, str]]:
    """The instrument, where it has a persistent identifier."""
    pid = str(package.facts.instrument.get("pid", ""))
    return [{**_identifier(pid), "relationType": "IsCollectedBy", "resourceTypeGeneral": "Instrument"}] if pid else []


def _related(text: str) -> dict[str, str]:
    """Something that it belongs to: ``IsSupplementTo 10.1234/paper``."""
    relation, _, where = text.strip().partition(" ")
    if relation.casefold() not in _RELATIONS:
        raise UsageError(f"'{relation}' is no relation of DataCite", next=f"One of {', '.join(_RELATIONS.values())}.")
    return {**_identifier(where.strip()), "relationType": _RELATIONS[relation.casefold()]}


def _identifier(text: str) -> dict[str, str]:
    doi = _DOI.match(text)
    return {"relatedIdentifier": doi[1] if doi else text, "relatedIdentifierType": "DOI" if doi else "URL"}


def _rights(text: str) -> list[dict[str, str]]:
    """The licence: its address where it has one."""
    if not text or text == NO_LICENCE:
        return []
    address = licence_address(text)
    return [{"rights": fit(text), **({"rightsUri": address} if address else {})}]


def _descriptions(package: ExportedPackage) -> list[dict[str, str]]:
    """What was done, by which instrument, how the bytes are known; what was corrected, and what is doubted."""
    facts = package.facts
    about = facts.description or facts.session.get("description", "") or facts.session.get("purpose", "")
    used = [" ".join(str(one[key]) for key in ("vendor", "name", "model") if one.get(key)) for one in facts.instruments]
    named = " ".join(str(facts.instrument[key]) for key in ("vendor", "name", "model") if facts.instrument.get(key))
    instruments = ", ".join(dict.fromkeys(one for one in (named, *used) if one))
    counted = f"{count_text(facts.dataset_count, 'dataset')} in {count_text(facts.file_count, 'file')}"
    technical = [f"Package {package.id}: {counted}, {size_text(facts.total_bytes)}, each file with its SHA-256."]
    if facts.continues:
        technical.append(f"It continues the package {facts.continues}.")
    for made in package.derivations:
        sources = ", ".join(f"{one.package}{f' ({one.path})' if one.path else ''}" for one in made.sources)
        programs = ", ".join(f"{name} {version}" for name, version in made.software)
        technical.append(f"Made from {sources}{f' with {programs}' if programs else ''}, says {made.by}.")
    corrected = "; ".join(one.sentence for one in package.corrections)
    open_now = [f"Corrected since it was archived: {corrected}."] if corrected else []
    open_now += [f"Open doubt: {one.sentence}." for one in package.cautions]
    said = {
        "Abstract": str(about).strip(),
        "Methods": f"Recorded with {instruments}." if instruments else "",
        "TechnicalInfo": " ".join(technical),
        "Other": " ".join(open_now),
    }
    return [{"description": fit(text), "descriptionType": kind} for kind, text in said.items() if text]
