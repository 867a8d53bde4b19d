"""A package at a glance: what it is, when and by whom it was made, and what is in it.

Of a package from a node also what is said of it, and where its copies lie.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from diadem.archive.facts import facts_without_record, instruments_in, record_of, texts_in
from diadem.model.display import Display
from diadem.model.facts import MAX_DESCRIBED
from diadem.model.folder_dates import leading_date, session_days
from diadem.model.manifest import PAGE_PATH
from diadem.model.quantities import quantity_text, signal_text
from diadem.model.record import Dataset, understood
from diadem.terms.fields import field as field_of
from diadem.terms.fields import is_field, looked_for_first

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.effective import Corrected

#: Where the days of a session come from.
STATED, CORRECTED, FILES, NAME, ARCHIVED = "stated", "corrected", "files", "name", "archived"
#: Of what a person looks for first, what is told of the session and not of each dataset.
_OF_SESSION: Final = frozenset({"time.acquired_start", "person.operator", "sample.name", "instrument.model"})


@dataclass(frozen=True, slots=True)
class SessionDays(Display):
    """First and last day of a session, and where they come from.

    Attributes
    ----------
    first, last : date or None
        `last` is None if the session has one day; both are None if only the day of archiving is known.
    source : str
        ``corrected`` by the owner, ``stated`` when it was archived, ``files``, ``name`` of the folder, or ``archived``.
    """

    first: datetime.date | None
    last: datetime.date | None = None
    source: str = ARCHIVED

    def __str__(self) -> str:
        """``2016-08-08 to 2019-01-02``; "" where they are not known."""
        return "" if self.first is None else f"{self.first} to {self.last}" if self.last else str(self.first)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        ends = {"first": self.first, "last": self.last or self.first}
        return {**{key: day and day.isoformat() for key, day in ends.items()}, "source": self.source}


@dataclass(frozen=True, slots=True)
class Overview(Display):
    """A package at a glance. ``print`` it; `to_dict` has all of it.

    Attributes
    ----------
    id, payload_id : str
        ``diadem:<64 hex>``, and 64 hex digits.
    title : str
        The session's title, or what is shown instead.
    days : SessionDays
        When it was recorded.
    url : str
        Address of the copy that was read.
    page : str
        Where its page is; "" where it has none.
    archived, owner, licence, description, software : str
        "" for what is not known.
    session, sample, instrument : mapping
        What people stated, with corrections.
    instruments, operators, samples : sequence
        What the datasets state.
    people : sequence of mapping
        Who took part.
    datasets : sequence of mapping
        Of the first thousand: id, path, format, bytes, signals, values and issues, each in words.
    dataset_count, file_count, bytes : int
        How much there is.
    omitted : sequence of mapping
        What was left out of the source: path, kind, reason.
    continues : str
        Id of the package to which this one adds, or "".
    continued_by : sequence of str
        Ids of those that add to this one; only a node knows them.
    identifiers : sequence of str
        What it is called where it was given to, ``doi:10.5281/zenodo.123``; only a node knows them.
    copies, judgements, corrections : sequence of mapping
        Its copies, the assessments of its data, and what was corrected. Only a node knows them.
    warnings : sequence of str
        Warnings about the data and their sources.
    at_node : bool
        Whether a node was asked.
    """

    id: str
    payload_id: str
    title: str
    days: SessionDays
    url: str
    page: str = ""
    archived: str = ""
    owner: str = ""
    licence: str = ""
    description: str = ""
    software: str = ""
    session: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    instrument: Mapping[str, Any] = field(default_factory=dict)
    instruments: Sequence[Mapping[str, Any]] = ()
    operators: Sequence[str] = ()
    samples: Sequence[str] = ()
    people: Sequence[Mapping[str, Any]] = ()
    datasets: Sequence[Mapping[str, Any]] = ()
    dataset_count: int = 0
    file_count: int = 0
    bytes: int = 0
    omitted: Sequence[Mapping[str, Any]] = ()
    continues: str = ""
    continued_by: Sequence[str] = ()
    identifiers: Sequence[str] = ()
    copies: Sequence[Mapping[str, Any]] = ()
    judgements: Sequence[Mapping[str, Any]] = ()
    corrections: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    at_node: bool = False

    def __str__(self) -> str:
        """One screen for an ordinary session."""
        from diadem.archive.overview_text import overview_text

        return overview_text(self.to_dict())

    __repr__ = __str__

    _display_keys = (
        "days", "archived", "owner", "id", "url", "sample", "samples", "operators", "instruments", "licence",
        "description", "warnings", "datasets: id path format signals bytes", "copies: store path state proven_at",
        "judgements", "corrections",
    )  # fmt: skip

    def _display_title(self) -> str:
        return self.title

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lists = {name: list(value) for name, value in plain.items() if isinstance(value, tuple | list)}
        objects = {name: dict(value) for name, value in plain.items() if isinstance(value, Mapping)}
        return {**plain, **lists, **objects, "days": self.days.to_dict()}


def overview(package: Package, *, corrections: Sequence[Mapping[str, Any]] = (), **known: Any) -> Overview:
    """What a package, and a node that knows more of it, says. Raises `IntegrityError`."""
    facts = facts_without_record(package)
    record = record_of(package)
    datasets = [one for _, one in islice(understood(record.datasets), MAX_DESCRIBED)]
    session = dict(record.session)
    title = known.pop("title", "") or str(session.get("title") or "") or facts.name
    page = f"{package.url.rstrip('/')}/{PAGE_PATH}" if PAGE_PATH in package.manifest else ""
    if page and (folder := package.path) is not None:
        page = str(folder.joinpath(*PAGE_PATH.split("/")))
    # What merely somebody says of a sample is none of it.
    samples = [one.assertion(key) for one in datasets for key in ("sample.identifier", "sample.name")]
    dates = any(one["field"] == "session.date" and one["is"] for one in corrections)
    return Overview(
        **{
            "id": str(package.id),
            "payload_id": package.payload_id,
            "title": title,
            "days": session_span(session, datasets, title, facts.archived, corrected=dates),
            "url": package.url,
            "page": page,
            "archived": facts.archived,
            "licence": facts.license,
            "description": str(session.get("description", "")),
            "software": facts.software,
            "session": session,
            "sample": dict(record.sample),
            "instrument": dict(record.instrument),
            "instruments": tuple(instruments_in(datasets)),
            "operators": tuple(texts_in(datasets, "person.operator")),
            "samples": tuple(dict.fromkeys(str(one.value) for one in samples if one is not None)),
            "people": tuple(record.people),
            "datasets": tuple(map(_summary, datasets)),
            "dataset_count": len(record.datasets),
            "file_count": facts.file_count,
            "bytes": facts.total_bytes,
            "omitted": tuple(record.omitted),
            "continues": record.continues,
            "corrections": tuple(corrections),
            # What is said of itself stands among the judgements, where these are known.
            "warnings": tuple(one.sentence for one in package.warnings() if one.way or "judgements" not in known),
            **known,
        }
    )


def session_span(
    session: Mapping[str, Any], datasets: Iterable[Dataset], title: str, archived: str, *, corrected: bool = False
) -> SessionDays:
    """When a session was, as `diadem search` finds it, and what tells it; `title` is what it, or its folder, is called.

    What is dated after it was `archived` is of a clock that is wrong.
    """
    ends = [_day(str(session.get(key, ""))) for key in ("date", "end_date")]
    said = (item for one in datasets for item in one.document.get("fields", {}).get("time.acquired_start", ()))
    days = {day for item in said if (day := _day(str(item["value"])[:10])) is not None}
    latest = (_day(archived[:10]) or datetime.date.max - datetime.timedelta(days=1)) + datetime.timedelta(days=1)
    first, last = session_days(days, leading_date(title), latest=latest) or (None, None)
    by_files = session_days(days, None, latest=latest)
    source = ARCHIVED if first is None else FILES if (first, last) == by_files else NAME
    if ends[0] is not None:
        first, last = ends[0], last if last is not None and last > ends[0] else None
        source = CORRECTED if corrected else STATED
    last = ends[1] or last
    return SessionDays(first, last if first and last and last > first else None, source)


def as_days(first: datetime.date | None, last: datetime.date | None) -> tuple[str, str] | None:
    """First and last day of a session, as facts have them; None where only the day of archiving is known."""
    return None if first is None else (first.isoformat(), (last or first).isoformat())


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _summary(dataset: Dataset) -> dict[str, Any]:
    """A dataset in words: its signals, and the values that a person looks for first."""
    document = dataset.document
    values = []
    for key in looked_for_first():
        if key not in _OF_SESSION and (said := dataset.fields.get(key)):
            texts = dict.fromkeys(quantity_text(one.value, one.unit) for one in said if not one.is_extra)
            if any(one.preferred for one in said):
                texts = dict.fromkeys([quantity_text(one.value, one.unit) for one in said if one.preferred])
            values.append({"key": key, "label": field_of(key).label, "text": " · ".join(texts)})
    return {
        "id": dataset.id,
        "path": dataset.path,
        "format": dataset.primary.format,
        "files": len(dataset.files),
        "bytes": sum(one.bytes for one in dataset.files),
        "signals": [signal_text(signal) for signal in document.get("signals", ())],
        "shapes": [_shape(signal) for signal in document.get("signals", ())],
        "values": [one for one in values if one["text"]],
        "issues": [str(one["message"]) for one in dataset.issues],
    }


def dataset_summaries(package: Package, start: int, stop: int) -> list[dict[str, Any]]:
    """Some datasets of a package, in words, as in `Overview.datasets`."""
    return [_summary(one) for _, one in understood(record_of(package).datasets, start, stop)]


def _shape(signal: Mapping[str, Any]) -> str:
    """``image 512 × 512``."""
    sizes = " × ".join(f"{size:,}" for size in signal["shape"]) or "one value"
    return f"{str(signal.get('kind') or 'array').replace('_', ' ')} {sizes}"


def correction_facts(one: Corrected) -> dict[str, Any]:
    """What a field was, what it is, and who says so."""
    change, said = one.change, one.amendment
    return {
        "field": change.field,
        "dataset": change.dataset,
        "path": one.path,
        "was": [quantity_text(value, unit) for value, unit in one.sealed],
        "is": one.now,
        "by": said.by,
        "time": said.time,
        "reason": said.reason,
    }


def dataset_table(dataset: Dataset, sealed: Dataset | None = None) -> dict[str, Any]:
    """All that a record says of one dataset: each value with its unit, what says so, and what stood there.

    `sealed` is the dataset before corrections: ``was`` tells what stood there, ``extra`` what others than the owner
    say.
    """
    names = {one.id: one.path for one in dataset.files}
    first = {key: place for place, key in enumerate(looked_for_first())}
    values = []
    for key, said in sorted(dataset.fields.items(), key=lambda item: first.get(item[0], len(first))):
        for one in said:
            source, by = one.source, one.by
            before = (
                sealed.fields.get(key, ()) if sealed is not None and "statement" in source and one.preferred else ()
            )
            values.append(
                {
                    "key": key,
                    "label": field_of(key).label if is_field(key) else key,
                    "text": quantity_text(one.value, one.unit),
                    "value": one.value,
                    "unit": one.unit,
                    "status": one.status,
                    "preferred": one.preferred,
                    "signals": list(one.applies_to),
                    "file": names.get(str(source.get("file", "")), str(source.get("file", ""))),
                    "place": str(source.get("locator", "")),
                    "person": str(source.get("person", "")),
                    "raw": source.get("raw"),
                    "raw_unit": str(source.get("raw_unit") or source.get("unit") or ""),
                    "rule": str(by.get("rule", "")),
                    "by": f"{by.get('plugin', '')} {by.get('version', '')}".strip(),
                    "was": list(dict.fromkeys(quantity_text(item.value, item.unit) for item in before)),
                    "extra": one.is_extra,
                }
            )
    return {
        "id": dataset.id,
        "path": dataset.path,
        "files": [
            {"path": one.path, "role": one.role, "bytes": one.bytes, "format": one.format} for one in dataset.files
        ],
        "signals": [
            {"id": one["id"], "kind": one.get("kind", ""), "text": signal_text(one)}
            for one in dataset.document.get("signals", ())
        ],
        "values": values,
        "issues": [dict(one) for one in dataset.issues],
        "vendor": [str(one.get("path", "")) for one in dataset.raw],
    }


def file_list(package: Package) -> list[dict[str, Any]]:
    """Every file of a package: stored path, original name where that differs, bytes, SHA-256, time."""
    return [
        {
            "path": entry.name,
            "original": entry.original_name.decode("utf-8", "replace") if entry.original is not None else None,
            "bytes": entry.size,
            "sha256": entry.sha256,
            "modified": datetime.datetime.fromtimestamp(entry.mtime_ns / 1e9, datetime.UTC).isoformat(),
        }
        for entry in package.files
    ]
