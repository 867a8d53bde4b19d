"""Every dataset of some samples, by the time of its recording: from every package that names one of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.candidates import candidates_of
from diadem.catalogue.conditions import FactReader, Phrase
from diadem.catalogue.database import CHUNK
from diadem.catalogue.dataset_sets import mask, numbers
from diadem.catalogue.matching import matching, sizes_of, walk
from diadem.catalogue.query import any_name
from diadem.catalogue.tables import among
from diadem.catalogue.vocabulary import SAMPLE_KEYS
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


def datasets_naming(connection: Connection, names: Iterable[tuple[str, ...]]) -> list[SampleDataset]:
    """Every dataset that states one of these names of samples, each a row of words; the earliest first."""
    reader = FactReader(connection)
    found: dict[int, int] = {}
    for phrase in _phrases(names):
        keys = [key for key, hit in walk(reader, phrase, candidates_of(reader, phrase), rising=True) if hit]
        for part in _parts(keys):
            for key, bits in matching(reader, phrase, sizes_of(connection, part)).items():
                found[key] = found.get(key, 0) | bits
    rows = [row for part in _parts(sorted(found)) for row in _described(connection, {key: found[key] for key in part})]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _parts(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))


def _phrases(names: Iterable[tuple[str, ...]]) -> Iterator[Phrase]:
    whole = any_name(SAMPLE_KEYS, names)
    parts = () if whole is None else (whole, *whole.others)
    for start in range(0, len(parts), _NAMES):
        first, *others = parts[start : start + _NAMES]
        yield replace(first, others=tuple(others))


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
            moment = package.times.get(number)
            dataset = SampleDataset(
                package=PREFIX + package.row.id,
                title=package.row.title,
                date=package.row.date or "",
                time=_clock(moment) if moment is not None else "",
                path=package.paths.get(number, ""),
                instrument=package.first(_INSTRUMENT, number),
                site=package.first((_SITE,), number),
                named=package.named(number),
            )
            yield (dataset.day or "9999", dataset.time or "24", key, number), dataset


def _clock(seconds: float) -> str:
    try:
        return (_EPOCH + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:  # a clock beyond the calendar
        return ""


def _read(connection: Connection, wanted: Mapping[int, int]) -> dict[int, _Package]:
    """The packages, each with what its wanted datasets state."""
    keys, files, times, texts = list(wanted), tables.datasets.c, tables.numbers.c, tables.phrases.c
    rows = select(_packages.seq, _packages.id, _packages.title, _packages.date, _packages.datasets)
    found = {row.seq: _Package(row) for row in connection.execute(rows.where(among(_packages.seq, keys)))}
    paths = select(files.package, files.number, files.path).where(among(files.package, keys))
    for key, number, path in connection.execute(paths):
        found[key].paths[number] = path
    named = select(tables.keys.c.code, tables.keys.c.name).where(tables.keys.c.name.in_((*_TEXTS, _TIME)))
    codes: dict[int, str] = dict(connection.execute(named).all())

    def stated(key: int, everywhere: bool, datasets: str) -> Iterator[int]:
        return numbers(wanted[key] if everywhere else wanted[key] & mask(datasets))

    chosen = [code for code, name in codes.items() if name == _TIME]
    moments = select(times.package, times.number, times.everywhere, times.datasets)
    moments = moments.where(among(times.package, keys), times.key.in_(chosen)).order_by(times.number)
    for key, moment, everywhere, datasets in connection.execute(moments):
        for number in stated(key, everywhere, datasets):
            found[key].times.setdefault(number, moment)
    chosen = [code for code, name in codes.items() if name != _TIME]
    said = select(texts.package, texts.key, texts.text, texts.everywhere, texts.datasets)
    said = said.where(among(texts.package, keys), texts.key.in_(chosen)).order_by(texts.rank)
    for key, code, text, everywhere, datasets in connection.execute(said):
        own = found[key].texts.setdefault(codes[code], {})
        for number in stated(key, everywhere, datasets):
            own.setdefault(number, {})[text] = None
    return found
