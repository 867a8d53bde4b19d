"""Samples in the catalogue: what the log says of each, by its names, with links and parents to be followed quickly;
and every dataset of some samples, by the time of its recording."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, select

from diadem.catalogue import database, tables
from diadem.catalogue.candidates import candidates_of
from diadem.catalogue.conditions import FactReader
from diadem.catalogue.database import chunks
from diadem.catalogue.dataset_sets import numbers
from diadem.catalogue.fact_rows import values_of
from diadem.catalogue.facts import moment_of
from diadem.catalogue.matching import matching, sizes_of, walk
from diadem.catalogue.package_key import resolve
from diadem.catalogue.query import any_name
from diadem.catalogue.tables import among, among_texts
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.words import words
from diadem.model.display import Display
from diadem.model.manifest import PREFIX
from diadem.model.samples import Event, Link, Maker, OtherName, Parent, Retraction, Sample, Step

if TYPE_CHECKING:
    from diadem.model.sample_relations import Family

#: What a name is: the node's own, that of another lab or of everywhere, or only what the sample is.
OWN, OTHER, TITLE = "identifier", "other", "title"
_LINK, _PARENT = "link", "parent"
#: What tells when a dataset was recorded, the instrument, the first that is stated, and where that stands.
_TIME: Final = "time.acquired_start"
_INSTRUMENT: Final = ("instrument.name", "instrument.model", "instrument.vendor")
_SITE: Final = "instrument.site"
_packages = tables.packages.c
_samples, _names, _ties = tables.samples.c, tables.sample_names.c, tables.sample_ties.c


@dataclass(frozen=True, slots=True)
class NameRow:
    """A name of a sample."""

    sample: str  # its id
    kind: str  # OWN, OTHER or TITLE
    text: str  # as it is written
    lab: str  # whose name it is; "" for the node's own and those of everywhere
    words: tuple[str, ...]  # what is compared


def add_sample(connection: Connection, sample: Sample) -> None:
    """Enter a sample; of one that is there everything is written anew."""
    for table, column in ((tables.samples, "id"), (tables.sample_names, "sample"), (tables.sample_ties, "sample")):
        connection.execute(delete(table).where(table.c[column] == sample.id))
    database.insert_rows(connection, tables.samples, [(sample.id, sample.identifier, json.dumps(asdict(sample)))])
    database.insert_rows(connection, tables.sample_names, dict.fromkeys(_named(sample)))
    ties = [(sample.id, _LINK, other) for other in sample.linked]
    ties += [(sample.id, _PARENT, parent.sample) for parent in sample.parents]
    database.insert_rows(connection, tables.sample_ties, dict.fromkeys(ties))


def _named(sample: Sample) -> Iterator[tuple[str, str, str, str, str]]:
    """Its names as rows of the table; a name without any letter or digit could never be asked for."""
    every = [(OWN, sample.identifier, ""), *((OTHER, text, "") for text in sample.identifiers.values())]
    every += [(OTHER, other.name, other.lab) for other in sample.other_names]
    every += [(TITLE, sample.name, "")] if sample.name else []
    for kind, text, lab in every:
        if found := words(text):
            yield " ".join(found), sample.id, kind, text, lab


def samples(connection: Connection, ids: Collection[str] | None = None) -> list[Sample]:
    """Samples by their ids, those that are not known left out; all of them without ids. By identifier."""
    chosen = select(_samples.document)
    if ids is not None:
        chosen = chosen.where(among_texts(_samples.id, sorted(ids)))
    found = [_restored(document) for document in connection.scalars(chosen)]
    return sorted(found, key=lambda one: (words(one.identifier), one.id))


def _restored(document: str) -> Sample:
    kept: Mapping[str, Any] = json.loads(document)
    events = (
        {**one, "retracted": Retraction(**one["retracted"]) if one.get("retracted") else None} for one in kept["events"]
    )
    links = ({**one, "other": OtherName(**one["other"]) if one["other"] else None} for one in kept["links"])
    return Sample(
        **{
            **kept,
            "names": tuple(OtherName(**one) for one in kept["names"]),
            "parents": tuple(Parent(**one) for one in kept["parents"]),
            "maker": Maker(**kept["maker"]) if kept["maker"] else None,
            "elements": tuple(kept["elements"]),
            "preparation": tuple(Step(**one) for one in kept["preparation"]),
            "events": tuple(Event(**one) for one in events),
            "links": tuple(Link(**one) for one in links),
        }
    )


def count_samples(connection: Connection) -> int:
    """How many samples there are."""
    return int(connection.scalar(select(func.count()).select_from(tables.samples)) or 0)


# Names


def samples_named(connection: Connection, names: Iterable[Sequence[str]]) -> list[NameRow]:
    """Names of samples that are one of these, each a row of words; case, accents and signs do not count."""
    return _name_rows(connection, among_texts(_names.words, sorted({" ".join(found) for found in names if found})))


def names_of_samples(connection: Connection, ids: Collection[str]) -> list[NameRow]:
    """All names of some samples."""
    return _name_rows(connection, among_texts(_names.sample, sorted(ids)))


def _name_rows(connection: Connection, rule: ColumnElement[bool]) -> list[NameRow]:
    rows = connection.execute(select(tables.sample_names).where(rule))
    found = [NameRow(row.sample, row.kind, row.text, row.lab, tuple(row.words.split())) for row in rows]
    return sorted(found, key=lambda one: (one.sample, one.kind, one.text, one.lab))


def meant(connection: Connection, asked: Sequence[str]) -> list[NameRow]:
    """All names of the samples that are called so, of what is the same thing, and of what was made from it."""
    from diadem.model.sample_relations import with_parts

    owners = {row.sample for row in samples_named(connection, [asked]) if row.kind != TITLE}
    everybody = with_parts(_Relations(connection), owners) if owners else ()
    return [row for row in names_of_samples(connection, everybody) if row.kind != TITLE]


def sample_texts(connection: Connection, package_id: str) -> list[tuple[str, bool]]:
    """What a package calls its samples, and whether all its datasets do. Raises `NotFound`."""
    facts, codes = tables.phrases.c, tables.keys
    rows = select(facts.text, facts.everywhere).join_from(tables.phrases, codes, facts.key == codes.c.code)
    own = (facts.package == resolve(connection, package_id), codes.c.name.in_(SAMPLE_KEYS))
    return [(text, bool(everywhere)) for text, everywhere in connection.execute(rows.where(*own).order_by(facts.rank))]


# Relatives


def family(connection: Connection, sample_id: str) -> Family:
    """A sample among its relatives."""
    from diadem.model import sample_relations

    return sample_relations.family(_Relations(connection), sample_id)


class _Relations:
    """Relations of samples as the catalogue has them (`diadem.model.sample_relations.Relations`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def linked(self, samples: Collection[str]) -> Iterable[str]:
        """Those that somebody has linked with one of them."""
        yield from self._found(_ties.other, _ties.sample, _LINK, samples)
        yield from self._found(_ties.sample, _ties.other, _LINK, samples)

    def parents(self, samples: Collection[str]) -> Iterable[str]:
        """Those from which one of them was made."""
        return self._found(_ties.other, _ties.sample, _PARENT, samples)

    def parts(self, samples: Collection[str]) -> Iterable[str]:
        """Those that were made from one of them."""
        return self._found(_ties.sample, _ties.other, _PARENT, samples)

    def _found(self, wanted: Any, given: Any, kind: str, samples: Collection[str]) -> Iterable[str]:
        rule = (_ties.kind == kind, among_texts(given, sorted(samples)))
        return self._connection.scalars(select(wanted).where(*rule))


# Their datasets, from every package that names one of them


@dataclass(frozen=True, slots=True)
class SampleDataset(Display):
    """A dataset that names a sample.

    Attributes
    ----------
    package : str
        ``diadem:<64 hex>``.
    title : str
        Of its session.
    date : str
        Day of the session, or "".
    time : str
        When it was recorded, by the clock of the instrument, the earliest that is stated: ``2026-03-14T09:26:53``; or
        "".
    path : str
        Its primary file; "" for a package without datasets.
    instrument, site : str
        What recorded it, and where that stands, as far as it is stated.
    named : tuple of str
        What the record calls the sample.
    sample : str
        Id of the sample that this means, where somebody has looked: see `diadem.node.samples.story`.
    """

    package: str
    title: str
    date: str
    time: str
    path: str
    instrument: str
    site: str
    named: tuple[str, ...]
    sample: str = ""

    @property
    def day(self) -> str:
        """The day of the recording, else that of the session, or ""."""
        return self.time[:10] or self.date

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"named": list(self.named)}


def datasets_naming(connection: Connection, names: Iterable[tuple[str, ...]]) -> list[SampleDataset]:
    """Every dataset that states one of these names of samples, each a row of words; the earliest first."""
    reader = FactReader(connection)
    whole = any_name(SAMPLE_KEYS, names)
    wanted: dict[int, int] = {}
    for first, *others in chunks(() if whole is None else (whole, *whole.others)):
        phrase = replace(first, others=tuple(others))
        keys = [key for key, hit in walk(reader, phrase, candidates_of(reader, phrase), rising=True) if hit]
        for part in chunks(keys):
            for key, bits in matching(reader, phrase, sizes_of(connection, part)).items():
                wanted[key] = wanted.get(key, 0) | bits
    found = [
        row for part in chunks(sorted(wanted)) for row in _described(connection, {key: wanted[key] for key in part})
    ]
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def _described(connection: Connection, wanted: Mapping[int, int]) -> Iterator[tuple[tuple[Any, ...], SampleDataset]]:
    """Datasets of some packages, as bits, with what sorts them."""
    keys, files = list(wanted), tables.datasets.c
    packages = select(_packages.seq, _packages.id, _packages.title, _packages.date)
    primary = select(files.package, files.number, files.path).where(among(files.package, keys))
    paths = {(key, number): path for key, number, path in connection.execute(primary)}
    times = values_of(connection, tables.numbers, (_TIME,), wanted)
    instruments, sites, named = (
        values_of(connection, tables.phrases, of, wanted) for of in (_INSTRUMENT, (_SITE,), SAMPLE_KEYS)
    )
    for package in connection.execute(packages.where(among(_packages.seq, keys))).all():
        for number in numbers(wanted[package.seq]):
            place = package.seq, number
            dataset = SampleDataset(
                package=PREFIX + package.id,
                title=package.title,
                date=package.date or "",
                time=_clock(times[place][0]) if place in times else "",
                path=paths.get(place, ""),
                instrument=instruments.get(place, ("",))[0],
                site=sites.get(place, ("",))[0],
                named=tuple(named.get(place, ())),
            )
            yield (dataset.day or "9999", dataset.time or "24", *place), dataset


def _clock(seconds: float) -> str:
    try:
        return moment_of(seconds).isoformat(timespec="seconds")
    except OverflowError:  # a clock beyond the calendar
        return ""
