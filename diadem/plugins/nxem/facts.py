"""What an entry says of a dataset but its data: each value of the record at its path in NXem, and what is missing.

The paths are those of `nxem` in `diadem/terms/fields.toml`. A group of which NXem requires more than is known is left
out: every field also stands in the entry's ``record``, under its own name and with its evidence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from diadem.hooks.exporters import ExportedPackage
from diadem.model.effective import Corrected, has_offset
from diadem.model.record import Dataset
from diadem.terms import fields
from diadem.terms.dates import iso

#: Text and number of what NXem requires in a group that says something else, and nobody knows.
UNKNOWN: Final = "unknown"
_NO_NUMBER: Final = math.nan

#: Classes of groups by their names in the definition, without the ID of those that there are several of.
CLASSES: Final[Mapping[str, str]] = {
    "measurement": "NXem_measurement", "event": "NXem_event_data", "instrument": "NXem_instrument",
    "fabrication": "NXfabrication", "ebeam_column": "NXebeam_column", "ibeam_column": "NXibeam_column",
    "electron_source": "NXsource", "ion_source": "NXsource", "probe": "NXatom", "optics": "NXem_optical_system",
    "scan_controller": "NXscan_controller", "detector": "NXdetector", "stage": "NXmanipulator",
    "program": "NXprogram", "sample": "NXsample", "user": "NXuser", "project": "NXproject", "note": "NXnote",
    "profiling": "NXcs_profiling", "processing_reference_frame": "NXcoordinate_system",
    "sample_reference_frame": "NXcoordinate_system", "image": "NXimage", "spectrum": "NXspectrum",
    "process": "NXprocess", "input": "NXnote", "record": "NXcollection",
}  # fmt: skip

#: What a group requires, by the end of its path: what is written where that is not known, or None: then the group is
#: left out.
_REQUIRED: Final[Mapping[str, Mapping[str, Any]]] = {
    r"event\d+/instrument/ebeam_column/electron_source": {"voltage": None},
    r"event\d+/instrument/ibeam_column/ion_source": {"voltage": None, "probe/name": None, "flux": _NO_NUMBER},
    r"event\d+/instrument/.beam_column/scan_controller": {"dwell_time": None, "scan_schema": UNKNOWN},
    r"event\d+/instrument/stage": {
        "tilt1": _NO_NUMBER, "tilt2": _NO_NUMBER, "rotation": _NO_NUMBER, "position": [_NO_NUMBER] * 3
    },
    r"event\d+/instrument/detector\d+": {"operation_mode": UNKNOWN},
    r"measurement/instrument/detector\d+": {"name": UNKNOWN},
    r"measurement/instrument/ibeam_column/ion_source": {"emitter_type": "other", "probe/name": None},
}  # fmt: skip
_UNITS: Final = {"tilt1": "deg", "tilt2": "deg", "rotation": "deg", "position": "m"}

#: What the source of such ions is, and by which words.
_ION_SOURCES: Final = {
    "liquid_metal": r"liquid.?metal|lmis|\bGa\b|gallium", "plasma": r"plasma|\bXe\b|xenon",
    "gas_field": r"gas.?field|gfis|\bHe\b|\bNe\b|helium|neon",
}  # fmt: skip
_KINDS: Final = ("sem", "fib", "tem")
#: What an identifier is, by how it begins.
_IDENTIFIERS: Final = {
    r"https?://orcid\.org/": "ORCID",
    r"https?://(dx\.)?doi\.org/|doi:|10\.\d+/": "DOI",
    r"https?://": "URL",
}
_EVENT: Final = "measurement/eventID/"
_DETECTOR: Final = "measurement/instrument/detectorID/"


@dataclass(slots=True)
class Value:
    """What is written at a path: a text, number, list of numbers or bool, and its attributes."""

    value: Any
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a fact is missing that NXem requires.

    Attributes
    ----------
    why : str
        In words, where there is more to say than that nobody has stated it.
    clock : str
        The time that is stated, without an offset from UTC, or "".
    offsets : tuple of str
        The two that the zone had in this hour: it was there twice, or not at all. None where no zone is known.
    is_option : bool
        Whether an option stated it, and not the record.
    other : str
        What the record says of the instrument, which options name otherwise; or "".
    """

    why: str = ""
    clock: str = ""
    offsets: tuple[str, ...] = ()
    is_option: bool = False
    other: str = ""


@dataclass(slots=True)
class Entry:
    """What an ``NXentry`` says of a dataset.

    Attributes
    ----------
    values : dict of str to Value
        By the path below the entry.
    events : list of tuples of str
        Ids of the signals of each ``event1``, ``event2``: those that were taken under the same conditions.
    detectors : dict of str to str
        Signal to ``detector1``.
    missing : dict of str to Lack
        What NXem requires and nobody stated, or not as NXem wants it.
    """

    values: dict[str, Value] = field(default_factory=dict)
    events: list[tuple[str, ...]] = field(default_factory=list)
    detectors: dict[str, str] = field(default_factory=dict)
    missing: dict[str, Lack] = field(default_factory=dict)


def entry_of(package: ExportedPackage, dataset: Dataset, given: Mapping[str, Any]) -> Entry:
    """What is written of a dataset; `given` are options for what the record does not state."""
    entry = Entry()
    signals = [signal.id for signal in dataset.signals]
    told = _Told(package, dataset)
    entry.events = _alike(told, signals, _EVENT_FIELDS) or [()]
    detectors = [some for some in _alike(told, signals, _DETECTOR_FIELDS) if told.any_of(some[0], _DETECTOR_FIELDS)]
    entry.detectors = {one: f"detector{number}" for number, some in enumerate(detectors, 1) for one in some}
    _place(entry, told, detectors)
    _complete(entry)
    _identify(entry, package, dataset)
    _people(entry, package, told)
    _times(entry, told, given)
    known = _known_sample(package, told)
    _sample(entry, told, given, known)
    _instrument(entry, given)
    if entry.values.get("measurement/instrument/type", Value("sem")).value not in _KINDS:
        del entry.values["measurement/instrument/type"]
    _record(entry, package, dataset)
    if known:
        entry.values["record/samples"] = Value([json.dumps(known)])
    return entry


class _Told:
    """What a dataset and the head of its record state."""

    def __init__(self, package: ExportedPackage, dataset: Dataset) -> None:
        self._record, self.dataset = package.record, dataset

    def value(self, key: str, signal: str | None = None) -> Any:
        """What holds of a field, for a signal; None where nobody states it."""
        if (found := self.dataset.value(key, signal)) is not None:
            return found
        if not (head := fields.field(key).head):
            return None
        section: Mapping[str, Any] = getattr(self._record, head[0])
        return section.get(head[1])

    def any_of(self, signal: str, keys: Sequence[str]) -> bool:
        """Whether one of the fields is stated for a signal."""
        return any(self.value(key, signal) is not None for key in keys)

    def moment(self, key: str, signal: str | None = None) -> str:
        """A time, with its offset if anything of the same says it: a profile of the instrument may, beside the file."""
        stated = [str(one.value) for one in self.dataset.assertions(key) if not one.is_extra]
        first = str(self.value(key, signal) or "")
        return next((one for one in [first, *stated] if one[:19] == first[:19] and has_offset(one)), first)


def _keys(begin: str, *, detectors: bool = False) -> tuple[str, ...]:
    every = fields.all_fields().values()
    return tuple(one.key for one in every if one.nxem.startswith(begin) and ("detectorID" in one.nxem) == detectors)


_EVENT_FIELDS: Final = _keys(_EVENT)
_DETECTOR_FIELDS: Final = (*_keys(_DETECTOR, detectors=True), *_keys(_EVENT, detectors=True))


def _alike(told: _Told, signals: Sequence[str], keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Signals of which the same holds, in their order."""
    groups: dict[str, list[str]] = {}
    for signal in signals:
        groups.setdefault(repr([told.value(key, signal) for key in keys]), []).append(signal)
    return [tuple(some) for some in groups.values()]


def _place(entry: Entry, told: _Told, detectors: Sequence[Sequence[str]]) -> None:
    """Write each field at its path: once, or for each event and detector that it is of."""
    events = {number: some[0] if some else None for number, some in enumerate(entry.events, 1)}
    for one in fields.all_fields().values():
        if not one.nxem or one.nxem.startswith("userID/") or one.type == "time":
            continue
        places: list[tuple[str, str | None]]
        if one.nxem.startswith(_DETECTOR):
            places = [(one.nxem.replace("detectorID", f"detector{n}"), some[0]) for n, some in enumerate(detectors, 1)]
        elif "detectorID" in one.nxem:
            places = [
                (one.nxem.replace("eventID", f"event{n}").replace("detectorID", detector), signal)
                for n, some in enumerate(entry.events, 1)
                for detector, signal in {entry.detectors[of]: of for of in some if of in entry.detectors}.items()
            ]
        elif one.nxem.startswith(_EVENT):
            places = [(one.nxem.replace("eventID", f"event{n}"), signal) for n, signal in events.items()]
        else:
            places = [(one.nxem, None)]
        for path, signal in places:
            if (value := told.value(one.key, signal)) is not None:
                ions = told.value("beam.species", signal or events[1]) not in (None, "electron")
                _write(entry, path.replace("ID/", "/"), value, one.unit, ions=ions)


def _write(entry: Entry, path: str, value: Any, unit: str, *, ions: bool) -> None:
    """Write a value at its path, if nothing stands there, in the way in which NXem has it."""
    if ions and "ebeam_column" in path:
        path = path.replace("ebeam_column/electron_source", "ibeam_column/ion_source").replace("ebeam_", "ibeam_")
        if path.endswith("/extraction_voltage"):
            return  # has no place in an ion source
        if path.endswith("/probe"):
            static = re.sub(r"event\d+/", "", path)
            entry.values.setdefault(f"{static}/name", Value(value))
            entry.values.setdefault(f"{static.removesuffix('/probe')}/emitter_type", Value(_ion_source(value)))
            path += "/name"
        elif path.endswith("/emitter_type"):
            value = _ion_source(value)
    attributes: dict[str, Any] = {"units": unit} if unit not in ("", "1") else {}
    if vector := re.fullmatch(r"(.*)\[(\d)\]", path):
        path = vector[1]
        whole = entry.values.setdefault(path, Value([_NO_NUMBER] * 3, attributes))
        whole.value[int(vector[2])] = value
        return
    if path.endswith("/program"):
        attributes["version"] = UNKNOWN
    if "identifier_" in path:
        attributes.update(_identifier(str(value)))
    entry.values.setdefault(path, Value(",".join(value) if isinstance(value, list) else value, attributes))


def _ion_source(said: str) -> str:
    return next((kind for kind, words in _ION_SOURCES.items() if re.search(words, said, re.IGNORECASE)), "other")


def _identifier(text: str) -> dict[str, Any]:
    """Of which kind an identifier is; NeXus wants kinds of its own to be marked."""
    kind = next((kind for begin, kind in _IDENTIFIERS.items() if re.match(begin, text)), "")
    return {"type": kind} if kind else {"type": "local", "type_custom": True}


def _complete(entry: Entry) -> None:
    """Fill what groups require, or leave a group out that cannot be."""
    for pattern, required in _REQUIRED.items():
        groups = {found[1] for path in entry.values if (found := re.match(rf"(.*{pattern})/", path))}
        for group in sorted(groups):
            if any(fill is None and f"{group}/{name}" not in entry.values for name, fill in required.items()):
                for path in [path for path in entry.values if path.startswith(f"{group}/")]:
                    del entry.values[path]
                continue
            for name, fill in required.items():
                unit = {"units": _UNITS[name]} if name in _UNITS else {}
                entry.values.setdefault(f"{group}/{name}", Value(fill, unit))


def _identify(entry: Entry, package: ExportedPackage, dataset: Dataset) -> None:
    """Which package and dataset it is, and the digest of each of its files."""
    facts = package.facts
    entry.values |= {
        "title": Value(dataset.path),
        "collection_identifier": Value(package.id),
        "entry_identifier": Value(dataset.id),
        "experiment_alias": Value(facts.name),
    }
    if facts.description:
        entry.values["experiment_description"] = Value(facts.description)
    for number, file in enumerate(dataset.files, 1):
        note = f"note{number}"
        entry.values |= {f"{note}/type": Value(file.role), f"{note}/file_name": Value(file.path)}
        if file.sha256:
            entry.values |= {f"{note}/checksum": Value(file.sha256), f"{note}/algorithm": Value("sha256")}
    for frame in ("processing_reference_frame", "sample_reference_frame"):
        entry.values[f"{frame}/type"] = Value("undefined")
        for axis in "xyz":
            entry.values[f"{frame}/{axis}"] = Value([_NO_NUMBER] * 3, {"units": "m"})


def _people(entry: Entry, package: ExportedPackage, told: _Told) -> None:
    people = [dict(one) for one in package.facts.people]
    operator = told.value("person.operator")
    if operator and operator not in [one.get("name") for one in people]:
        people.append({"name": operator, "role": "operator"})
    for number, person in enumerate(people, 1):
        for name in ("name", "role", "affiliation", "email"):
            if person.get(name):
                entry.values[f"user{number}/{name}"] = Value(person[name])
        if orcid := person.get("orcid"):
            entry.values[f"user{number}/identifier_orcid"] = Value(orcid, {"type": "ORCID"})


def _require(entry: Entry, path: str, value: Any, lack: Lack = Lack()) -> None:
    if value is None or value == "":
        entry.missing[path] = lack
    else:
        entry.values[path] = Value(value)


def _instrument(entry: Entry, given: Mapping[str, Any]) -> None:
    """Maker and model; options name one instrument, and no half of that counts for another."""
    paths = {name: f"measurement/instrument/fabrication/{name}" for name in ("vendor", "model")}
    stated = {name: str(entry.values[path].value) for name, path in paths.items() if path in entry.values}
    others = [text for name, text in stated.items() if text.casefold() != str(given.get(name) or text).casefold()]
    for name, path in paths.items():
        if name in stated:
            continue
        if others and given.get(name):
            _require(
                entry, path, None, Lack(f"the option is of another instrument than '{others[0]}'", other=others[0])
            )
        else:
            _require(entry, path, given.get(name))


def _times(entry: Entry, told: _Told, given: Mapping[str, Any]) -> None:
    """Start and end: NXem wants their offsets from UTC."""
    zone = str(given.get("time_zone", ""))
    stated = told.moment("time.acquired_start")
    if "T" in stated:
        start, lack = stated, _lack(stated, stated, zone)
    else:  # a day alone is no start
        start = str(given.get("start_time", ""))
        lack = _lack(start, start, zone, is_option=True)
        if stated and not start:
            lack = Lack(f"only the day is stated, {stated}")
    _require(entry, "start_time", _with_offset(start, zone), lack)
    if end := _with_offset(told.moment("time.acquired_end"), zone):
        entry.values["end_time"] = Value(end)
    for number, signals in enumerate(entry.events, 1):
        for name, key in (("start_time", "time.acquired_start"), ("end_time", "time.acquired_end")):
            moment = _with_offset(told.moment(key, signals[0] if signals else None), zone)
            if moment or name in entry.values:
                entry.values[f"measurement/event{number}/{name}"] = Value(moment or entry.values[name].value)


def _known_sample(package: ExportedPackage, told: _Told) -> Mapping[str, Any]:
    """What the node knows of the dataset's sample: of the one that its identifier means, else its name."""
    others = dict(package.record.sample.get("other_names") or {}).values()
    called = (told.value("sample.identifier"), told.value("sample.name"), *others)
    return next((one for name in called for one in package.samples if name in one["called"]), {})


def _register(entry: Entry, known: Mapping[str, Any]) -> None:
    """Write what the node knows of the sample, where the record does not state it."""
    igsn = str(known.get("identifiers", {}).get("igsn", ""))
    for parent in known.get("parents", ())[:1]:
        _write_identifier(entry, "sample/identifier_parent", parent)
    _write_identifier(entry, "sample/identifier_sample", known)
    if igsn and entry.values["sample/identifier_sample"].value != igsn:
        entry.values["sample/identifier_igsn"] = Value(igsn, {"type": "IGSN"})
    entry.values.setdefault("sample/name", Value(known.get("name") or known["identifier"]))
    if known.get("elements"):
        entry.values.setdefault("sample/atom_types", Value(",".join(known["elements"])))


def _write_identifier(entry: Entry, path: str, sample: Mapping[str, Any]) -> None:
    """The identifier of a sample, if nothing stands there: the one that is its own everywhere goes before the lab's."""
    if igsn := str(sample.get("identifiers", {}).get("igsn", "")):
        entry.values.setdefault(path, Value(igsn, {"type": "IGSN"}))
    _write(entry, path, sample["identifier"], "", ions=False)


def _last_step(known: Mapping[str, Any], start: str) -> str:
    """The day on which the preparation ended before the data were taken; "" where a step has none."""
    days = [str(one.get("date", "")) for one in known.get("preparation", ())]
    return max((day for day in days if day <= start[:10]), default="") if all(days) else ""


def _sample(entry: Entry, told: _Told, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    if known:
        _register(entry, known)
    if "sample/atom_types" not in entry.values:
        _require(entry, "sample/atom_types", ",".join(given.get("atom_types", ())))
    start = str(entry.values.get("start_time", Value("")).value)
    stated, asked = told.moment("sample.preparation_date"), str(given.get("preparation_date", ""))
    prepared = stated or asked or _last_step(known, start)
    moment = f"{prepared}T00:00:00" if prepared and "T" not in prepared else prepared
    zone = str(given.get("time_zone", ""))
    whole_day = "T" not in prepared  # of a clock the offset of the start says nothing: in between is summer time
    if not zone and whole_day and start:
        zone = "+00:00" if start.endswith("Z") else start[-6:]
    lack = _lack(prepared, moment, zone, is_option=not stated and prepared == asked)
    _require(entry, "sample/preparation_date", _with_offset(moment, zone), lack)
    is_thing = False if known else None  # what is registered as a sample is no model
    _require(entry, "sample/is_simulation", given.get("is_simulation", is_thing))


def _with_offset(moment: str, zone: str) -> str:
    """A moment with its offset, from a zone where it has none; "" where it has none and the zone does not tell."""
    if has_offset(moment):
        return moment.replace("-00:00", "Z")
    offsets = _offsets(moment, zone)
    return moment + offsets[0] if len(offsets) == 1 else ""


def _offsets(moment: str, zone: str) -> tuple[str, ...]:
    """The offset that a zone had at a time of its clocks: two where they were changed, none where that is not known."""
    local = iso(moment)
    if local is None or not zone or "T" not in moment:
        return ()
    if zone[0] in "+-":
        return (zone,)
    both = [local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    return tuple(dict.fromkeys(one.isoformat()[-6:] for one in both))


def _lack(stated: str, moment: str, zone: str, *, is_option: bool = False) -> Lack:
    """Why a time is missing that may be stated, but not with its offset."""
    if not stated:
        return Lack()
    if offsets := _offsets(moment, zone):
        return Lack(f"it was when the clocks of {zone} were changed, {moment}", moment, offsets, is_option)
    return Lack(f"it is {stated}, in no time zone", moment, (), is_option)


def _record(entry: Entry, package: ExportedPackage, dataset: Dataset) -> None:
    """Every field under its own name, with where it comes from; and what people say of the data."""
    for key, assertions in sorted(dataset.fields.items()):
        for number, one in enumerate(assertions, 1):
            text = ",".join(one.value) if isinstance(one.value, list) else one.value
            where = {name: str(one.source[name]) for name in ("locator", "statement", "person") if name in one.source}
            of = {"applies_to": " ".join(one.applies_to)} if one.applies_to else {}
            units = {"units": one.unit} if one.unit else {}
            entry.values[f"record/{key}/said{number}"] = Value(text, {**units, "status": one.status, **where, **of})
    about = ("", dataset.id)
    doubted = ("", dataset.path)
    said = {
        "assessments": [json.dumps(one.to_dict()) for one in package.assessments if one.dataset in about],
        "cautions": [one.sentence for one in package.cautions if one.path in doubted or one.package != package.id],
        "corrections": [_correction(one) for one in package.corrections if one.path in doubted],
        "derivations": [json.dumps(one.to_dict()) for one in package.derivations],
    }
    entry.values |= {f"record/{name}": Value(texts) for name, texts in said.items() if texts}


def _correction(one: Corrected) -> str:
    """What holds of a field, and what was sealed."""
    before = [{"value": value, "unit": unit} for value, unit in one.sealed]
    return json.dumps({**one.change.to_dict(), "by": one.amendment.by, "in_place_of": before})
