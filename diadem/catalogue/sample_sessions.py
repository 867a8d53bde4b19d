"""Every dataset of some samples, by the time of its recording: from every package that names one of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, select

from diadem.catalogue import dialects, tables
from diadem.catalogue.conditions import Conditions
from diadem.catalogue.driving import driver
from diadem.catalogue.expressions import among
from diadem.catalogue.matching import matching, sizes_of
from diadem.catalogue.meaning import Phrase, any_name
from diadem.catalogue.reading import CHUNK
from diadem.catalogue.spans import mask, numbers
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.walking import walk
from diadem.model.display import Display
from diadem.model.manifest import PREFIX

_TIME: Final = "time.acquired_start"
#: What tells the instrument, the first that is stated.
_INSTRUMENT: Final = ("instrument.name", "instrument.model", "instrument.vendor")
_SITE: Final = "instrument.site"
_TEXTS: Final = (*SAMPLE_KEYS, *_INSTRUMENT, _SITE)
#: Names of samples that are looked for in one go.
_NAMES: Final = 500
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  (as the facts count)
_packages = tables.packages.c


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


def datasets_of(connection: Connection, names: Iterable[tuple[str, ...]]) -> list[SampleDataset]:
    """Every dataset that states one of these names of samples, each a row of words; the earliest first."""
    codes = {name: code for code, name in connection.execute(_codes())}
    conditions = Conditions(codes, dialects.of(connection))
    found: dict[int, int] = {}
    for phrase in _phrases(names):
        for key, bits in _matching(connection, conditions, phrase).items():
            found[key] = found.get(key, 0) | bits
    keys = sorted(found)
    rows = [
        row
        for start in range(0, len(keys), CHUNK)
        for row in _described(connection, {key: found[key] for key in keys[start : start + CHUNK]})
    ]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _codes() -> Any:
    return select(tables.keys.c.code, tables.keys.c.name)


def texts_of(connection: Connection, seq: int) -> list[tuple[str, bool]]:
    """What a package calls its samples, and whether all its datasets do."""
    facts, codes = tables.phrases.c, tables.keys
    rows = select(facts.text, facts.everywhere).join_from(tables.phrases, codes, facts.key == codes.c.code)
    rows = rows.where(facts.package == seq, codes.c.name.in_(SAMPLE_KEYS)).order_by(facts.rank)
    return [(text, bool(everywhere)) for text, everywhere in connection.execute(rows)]


def _phrases(names: Iterable[tuple[str, ...]]) -> Iterator[Phrase]:
    whole = any_name(SAMPLE_KEYS, names)
    parts = () if whole is None else (whole, *whole.others)
    for start in range(0, len(parts), _NAMES):
        first, *others = parts[start : start + _NAMES]
        yield replace(first, others=tuple(others))


def _matching(connection: Connection, conditions: Conditions, phrase: Phrase) -> dict[int, int]:
    """Packages that state one of the names, with the datasets that do, as bits."""
    source = driver(connection, conditions, phrase)
    keys = [key for key, hit in walk(connection, conditions, phrase, source, rising=True) if hit]
    found: dict[int, int] = {}
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        found |= matching(connection, conditions, phrase, sizes_of(connection, part))
    return found


@dataclass(slots=True)
class _Package:
    """What is needed of a package: its datasets, and what they state."""

    row: Any
    paths: dict[int, str] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    texts: dict[str, dict[int, dict[str, None]]] = field(default_factory=dict)

    def first(self, keys: Sequence[str], number: int) -> str:
        """The first text that a dataset states under the first of the keys."""
        return next((text for key in keys for text in self.texts.get(key, {}).get(number, ())), "")

    def named(self, number: int) -> tuple[str, ...]:
        """What a dataset calls the sample."""
        said = {text: None for key in SAMPLE_KEYS for text in self.texts.get(key, {}).get(number, ())}
        return tuple(said)


def _described(connection: Connection, wanted: Mapping[int, int]) -> Iterator[tuple[tuple[Any, ...], SampleDataset]]:
    """Datasets with what sorts them."""
    for key, package in _read(connection, wanted).items():
        for number in numbers(wanted[key]):
            dataset = _dataset(package, number)
            yield (dataset.day or "9999", dataset.time or "24", key, number), dataset


def _dataset(package: _Package, number: int) -> SampleDataset:
    row, time = package.row, package.times.get(number)
    return SampleDataset(
        package=PREFIX + row.id,
        title=row.title,
        date=row.date or "",
        time=_clock(time) if time is not None else "",
        path=package.paths.get(number, ""),
        instrument=package.first(_INSTRUMENT, number),
        site=package.first((_SITE,), number),
        named=package.named(number),
    )


def _clock(seconds: float) -> str:
    try:
        return (_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:  # a clock beyond the calendar
        return ""


def _read(connection: Connection, wanted: Mapping[int, int]) -> dict[int, _Package]:
    """The packages, each with what its wanted datasets state."""
    keys = list(wanted)
    rows = select(_packages.seq, _packages.id, _packages.title, _packages.date, _packages.datasets)
    found = {row.seq: _Package(row) for row in connection.execute(rows.where(among(_packages.seq, keys)))}
    files = tables.datasets.c
    for key, number, path in connection.execute(
        select(files.package, files.number, files.path).where(among(files.package, keys))
    ):
        found[key].paths[number] = path
    codes = {code: name for code, name in connection.execute(_codes()) if name in (*_TEXTS, _TIME)}
    _read_times(connection, found, wanted, codes)
    _read_texts(connection, found, wanted, codes)
    return found


def _read_times(
    connection: Connection, found: Mapping[int, _Package], wanted: Mapping[int, int], codes: Mapping[int, str]
) -> None:
    facts = tables.numbers.c
    chosen = [code for code, name in codes.items() if name == _TIME]
    rows = select(facts.package, facts.number, facts.everywhere, facts.datasets).where(
        among(facts.package, list(found)), facts.key.in_(chosen)
    )
    for key, number, everywhere, datasets in connection.execute(rows.order_by(facts.number)):
        for one in numbers(wanted[key] if everywhere else wanted[key] & mask(datasets)):
            found[key].times.setdefault(one, number)


def _read_texts(
    connection: Connection, found: Mapping[int, _Package], wanted: Mapping[int, int], codes: Mapping[int, str]
) -> None:
    facts = tables.phrases.c
    chosen = [code for code, name in codes.items() if name != _TIME]
    rows = select(facts.package, facts.key, facts.text, facts.everywhere, facts.datasets).where(
        among(facts.package, list(found)), facts.key.in_(chosen)
    )
    for key, code, text, everywhere, datasets in connection.execute(rows.order_by(facts.rank)):
        stated = found[key].texts.setdefault(codes[code], {})
        for one in numbers(wanted[key] if everywhere else wanted[key] & mask(datasets)):
            stated.setdefault(one, {})[text] = None
